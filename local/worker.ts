/**
 * The worker as it runs locally: the deployed one on the local clock and the Neon stand-in. `wrangler dev` is given this file
 * as its entry; what is deployed begins at functions/worker.ts and never sees it.
 */
import { createWorker } from '../functions/worker.ts';
import { useLocalEndpoint } from '../lib/db.ts';
import { type ClockSetting, createClock } from './clock.ts';

export { Meter } from '../functions/meter.ts';
export { Sleeper } from '../functions/sleeper.ts';

interface LocalEnv {
  /** A {@link ClockSetting} as JSON. */
  LOCAL_CLOCK: string;
  /** Host, port and path of the Neon stand-in. */
  NEON_WS_PROXY: string;
}
type Worker = ReturnType<typeof createWorker>;
type Env = Parameters<Worker['fetch']>[1] & LocalEnv;

interface Running {
  worker: Worker;
  /** Tells one start of workerd from the next, for whoever waits for a new one. */
  bootId: string;
}
let running: Running | undefined;

const start = (env: LocalEnv): Running => {
  if (running) return running;
  const clock = createClock(JSON.parse(env.LOCAL_CLOCK) as ClockSetting);
  useLocalEndpoint(env.NEON_WS_PROXY);
  const worker = createWorker({ now: clock.now, sleep: clock.sleep, allowLoopbackHttp: true });
  running = { worker, bootId: crypto.randomUUID() };
  return running;
};

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const { worker, bootId } = start(env);
    const answer = await worker.fetch(request, env, ctx);
    const tagged = new Response(answer.body, answer);
    tagged.headers.set('x-boot-id', bootId);
    return tagged;
  },
  async scheduled(controller: ScheduledController, env: Env, ctx: ExecutionContext): Promise<void> {
    await start(env).worker.scheduled(controller, env, ctx);
  },
};
