import { killedSuite } from './killed.ts';

await killedSuite(50, 1, 900_000);
