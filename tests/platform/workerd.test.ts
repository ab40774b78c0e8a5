import { crowdSuite } from './app-crowd.ts';
import { faultSuite } from './app-faults.ts';
import { startWorkerRig } from './worker-rig.ts';

const rig = await startWorkerRig();
faultSuite('workerd', rig);
crowdSuite(rig);
