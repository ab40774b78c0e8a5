import { killSuite } from './kill.ts';

killSuite(10_000, 20 * 60_000);
