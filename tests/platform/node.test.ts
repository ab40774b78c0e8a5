import { crowdSuite } from './app-crowd.ts';
import { faultSuite } from './app-faults.ts';
import { startNodeRig } from './node-rig.ts';

const rig = await startNodeRig();
faultSuite('Node', rig);
crowdSuite(rig);
