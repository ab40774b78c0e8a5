/**
 * The bundle, byte for byte as `wrangler deploy` would upload it, in a workerd of its own, with the bindings, the date and the flags of
 * wrangler.toml and nothing of ours inside. Whatever it sends goes to one proxy; what the runtime says of each invocation goes to a witness.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import type net from 'node:net';
import path from 'node:path';
import { unstable_readConfig as readConfig } from 'wrangler';
import { freePort } from '../../local/postgres.ts';
import { dryRun, WRANGLER_TOML } from '../support/dry-run.ts';
import { until } from '../platform/rig.ts';

interface Deployment {
  vars: Record<string, string>;
  durable_objects: { bindings: { name: string; class_name: string }[] };
  migrations: { new_sqlite_classes?: string[] }[];
  compatibility_date: string;
  compatibility_flags: string[];
  triggers: { crons: string[] };
}
/** What wrangler.toml says of production. */
export const PRODUCTION = readConfig({ config: WRANGLER_TOML, env: 'production' }, { hideWarnings: true }) as Deployment;

/** What the runtime says of one invocation once all of it, `waitUntil` included, is over. */
export interface Witnessed {
  /** `ok`, `exception`, `canceled` (the client hung up), … */
  outcome: string;
  /** What nobody caught. */
  exceptions: { name: string; message: string }[];
  /** What it logged, line by line. */
  logs: string[];
  executionModel: 'stateless' | 'durableObject';
  /** The class, when it is a Durable Object. */
  entrypoint: string | null;
  /** Method and path, or the cron. */
  event: string;
}

export interface BundleOptions {
  /** The variables and secrets beside those of wrangler.toml. */
  variables: Readonly<Record<string, string>>;
  /** Where everything that it sends goes. */
  proxyPort: number;
  /** A directory for the bundle and workerd's configuration. */
  directory: string;
  /** Instead of those of wrangler.toml. */
  flags?: readonly string[];
}

export interface Bundle {
  pid: number;
  url: string;
  /**
   * The same behind a front that gives a request up when told so by {@link Bundle.hangUp}: what the platform does when a client hangs up,
   * and workerd by itself does not. The invocation is cut at its next wait, but for what `waitUntil` holds. The client gets a 499.
   */
  frontUrl: string;
  /** Gives up what is under way at the front. */
  hangUp(): void;
  /** Fires a cron, as the platform does; the answer says what became of it. */
  scheduled(cron: string): Promise<{ outcome: string }>;
  /** Invocations that have ended, Durable Objects' too, in the order in which they did. */
  witnessed: readonly Witnessed[];
  /** Whatever workerd printed. */
  output(): string;
  stop(): Promise<void>;
}

const workerd = (): string => {
  const ofWrangler = createRequire(createRequire(import.meta.url).resolve('wrangler/package.json'));
  return (ofWrangler('workerd') as { default: string }).default;
};

/** Text as workerd's configuration takes it. */
const quoted = (text: string): string => JSON.stringify(text);
const list = (entries: readonly string[]): string => `[${entries.join(', ')}]`;

interface Trace {
  outcome: string;
  exceptions: { name: string; message: string }[];
  logs: { message: unknown[] }[];
  executionModel: Witnessed['executionModel'];
  entrypoint?: string;
  event: { request?: { method: string; url: string }; cron?: string } | null;
}

const eventOf = ({ event }: Trace): string =>
  event?.request ? `${event.request.method} ${new URL(event.request.url).pathname}` : (event?.cron ?? 'unknown');

/** Takes the runtime's traces, and tells the front when to give up. */
const startWitness = async () => {
  const seen: Witnessed[] = [];
  const waiting: http.ServerResponse[] = [];
  const server = http.createServer({ requireHostHeader: false }, (request, response) => {
    if (request.method === 'GET') {
      waiting.push(response);
      return;
    }
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      for (const trace of JSON.parse(text) as Trace[]) {
        const { outcome, exceptions, executionModel, entrypoint = null } = trace;
        const logs = trace.logs.map(({ message }) => message.map(String).join(' '));
        seen.push({ outcome, exceptions, logs, executionModel, entrypoint, event: eventOf(trace) });
      }
      response.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  const hangUp = (): void => waiting.splice(0).forEach((response) => response.end());
  return { port: (server.address() as net.AddressInfo).port, seen, hangUp, stop };
};

/** Hands a cron on: only a worker can fire one at another. */
const FIRES = `export default { async fetch(request, env) {
  return Response.json(await env.MAIN.scheduled({ cron: new URL(request.url).searchParams.get('cron') })); } };`;
const FRONT = `export default { async fetch(request, env) {
  const client = new AbortController();
  const given = fetch('http://witness/').then(() => client.abort());
  try { return await env.MAIN.fetch(request, { signal: client.signal }); }
  catch (error) { if (!client.signal.aborted) throw error; return new Response(null, { status: 499 }); } } };`;
const WITNESS = `export default { async tail(events) { await fetch('http://witness/', { method: 'POST', body: JSON.stringify(events) }); } };`;

/** The configuration; https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp says what may stand in it. */
const configuration = (options: BundleOptions, ports: Record<'http' | 'cron' | 'front' | 'witness', number>): string => {
  const { vars, durable_objects, migrations, compatibility_date: date, compatibility_flags } = PRODUCTION;
  const { bindings: objects } = durable_objects;
  const withSql = new Set(migrations.flatMap(({ new_sqlite_classes: classes = [] }) => classes));
  const variables = { ...vars, ...options.variables };
  const bindings = [
    ...Object.entries(variables).map(([name, value]) => `(name = ${quoted(name)}, text = ${quoted(value)})`),
    ...objects.map(({ name, class_name }) => `(name = ${quoted(name)}, durableObjectNamespace = ${quoted(class_name)})`),
  ];
  const classes = objects.map(
    ({ class_name: name }) => `(className = ${quoted(name)}, uniqueKey = ${quoted(name)}, enableSql = ${withSql.has(name)})`,
  );
  const flags = list((options.flags ?? compatibility_flags).map(quoted));
  const own = `compatibilityDate = ${quoted(date)}`;
  const proxy = (name: string, port: number): string =>
    `(name = ${quoted(name)}, external = (address = "127.0.0.1:${port}", http = (style = proxy)))`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "fires", worker = .fires), (name = "front", worker = .front), (name = "tail", worker = .tail),
    ${proxy('outside', options.proxyPort)}, ${proxy('witness', ports.witness)}],
  sockets = [(name = "http", address = "127.0.0.1:${ports.http}", http = (), service = "main"),
    (name = "cron", address = "127.0.0.1:${ports.cron}", http = (), service = "fires"),
    (name = "front", address = "127.0.0.1:${ports.front}", http = (), service = "front")],
);
const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "bundle/worker.js")],
  ${own}, compatibilityFlags = ${flags},
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(classes)}, durableObjectStorage = (inMemory = void),
  globalOutbound = "outside", tails = ["tail"],
);
const fires :Workerd.Worker = (
  modules = [(name = "fires.js", esModule = ${quoted(FIRES)})],
  ${own}, compatibilityFlags = ["service_binding_extra_handlers"], bindings = [(name = "MAIN", service = "main")],
);
const front :Workerd.Worker = (
  modules = [(name = "front.js", esModule = ${quoted(FRONT)})], ${own}, globalOutbound = "witness", bindings = [(name = "MAIN", service = "main")],
);
const tail :Workerd.Worker = (
  modules = [(name = "tail.js", esModule = ${quoted(WITNESS)})], ${own}, globalOutbound = "witness",
);
`;
};

/** Ends workerd ($1) when our end of its stdin closes, however we end. */
const GUARD = 'read -r _; kill -s KILL "$1" 2>/dev/null';

const launch = (file: string): { child: ChildProcess; end: () => Promise<void> } => {
  // `service_binding_extra_handlers`, which the worker that fires crons needs, is behind that switch.
  const child = spawn(workerd(), ['serve', '--experimental', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', String(child.pid)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    guard.kill('SIGKILL');
  };
  return { child, end };
};

/**
 * Builds the bundle, unless `directory` holds it already, and starts it.
 * @throws {Error} with what workerd said, when it does not start
 */
export const startBundle = async (options: BundleOptions): Promise<Bundle> => {
  const { directory } = options;
  const bundle = path.join(directory, 'bundle');
  if (!fs.existsSync(path.join(bundle, 'worker.js'))) dryRun(bundle, '--env', 'production');
  const witness = await startWitness();
  const ports = { http: await freePort(), cron: await freePort(), front: await freePort(), witness: witness.port };
  const file = path.join(directory, 'workerd.capnp');
  fs.writeFileSync(file, configuration(options, ports), { mode: 0o600 });
  const { child, end } = launch(file);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output += String(chunk)));
  const stop = async (): Promise<void> => {
    await end();
    witness.stop();
  };
  const url = `http://127.0.0.1:${ports.http}`;
  const answers = (): Promise<boolean> =>
    fetch(`${url}/health`).then(
      () => true,
      () => false,
    );
  try {
    await until('the bundle answers', async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`workerd did not start:\n${output}`);
      return answers();
    });
    // The one that found it up has been witnessed too.
    await until('its first answer is witnessed', () => witness.seen.length > 0);
  } catch (error) {
    await stop();
    throw error;
  }
  witness.seen.length = 0;
  return {
    pid: child.pid!,
    url,
    frontUrl: `http://127.0.0.1:${ports.front}`,
    hangUp: witness.hangUp,
    scheduled: async (cron) => {
      const answer = await fetch(`http://127.0.0.1:${ports.cron}/?cron=${encodeURIComponent(cron)}`);
      return (await answer.json()) as { outcome: string };
    },
    witnessed: witness.seen,
    output: () => output,
    stop,
  };
};
