import { killSuite } from './kill.ts';

killSuite(500, 120_000);
