import { killWorkerSuite } from './kill-worker.ts';

killWorkerSuite(300, 180_000);
