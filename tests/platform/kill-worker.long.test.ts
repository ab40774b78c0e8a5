import { killWorkerSuite } from './kill-worker.ts';

killWorkerSuite(10_000, 30 * 60_000);
