import { killedSuite } from './killed.ts';

await killedSuite(1, 50, 240_000);
