import { killWorkerSuite } from './kill-worker.ts';

killWorkerSuite(300, 120_000);
