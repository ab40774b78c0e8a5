/** Every error path of the worker in workerd, walked once: its answer, its reports, and that nothing personal leaves by it. */
import fs from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SinkEvent } from '../../local/sentry-sink.ts';
import { CANARIES, createScene, PHONES, startOutside } from './path-scene.ts';
import { pathsOf } from './paths.ts';
import { until } from './rig.ts';
import { startWorkerRig } from './worker-rig.ts';

const outside = await startOutside();
afterAll(() => outside.stop());
const rig = await startWorkerRig({
  BOLNA_BASE_URL: outside.url,
  POSTMARK_BASE_URL: outside.url,
  POSTMARK_WEBHOOK_SECRET: CANARIES.webhookSecret,
  EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true',
});
const scene = await createScene(rig, outside);
const paths = pathsOf(scene);

interface Walked {
  status: number;
  code: string | null;
  id: string;
  asked: string[];
}
const walked: Walked[] = [];
let events: SinkEvent[] = [];
const reportsOf = (id: string): string[] =>
  events
    .filter(({ tags }) => tags['request_id'] === id)
    .map(({ error_type }) => String(error_type))
    .toSorted((a, b) => a.localeCompare(b));

const codeIn = (text: string): string | null => {
  try {
    return (JSON.parse(text) as { error?: { code: string } }).error?.code ?? null;
  } catch {
    return null; // a page
  }
};

beforeAll(async () => {
  for (const { path, ask, reports, mend } of paths) {
    const from = outside.asked.length;
    const response = await ask();
    const id = response.headers.get('x-request-id') ?? '';
    const code = codeIn(await response.text());
    await until(`the reports of ${path}`, async () => {
      events = await rig.events();
      return reportsOf(id).length >= reports.length;
    });
    await until('every tunnel is closed', () => rig.proxy.counters().openNow === 0);
    walked.push({ status: response.status, code, id, asked: outside.asked.slice(from) });
    await mend?.();
  }
  events = await rig.events();
}, 180_000);

test.each(paths.map((path, i) => ({ ...path, i })))(
  '$path: $status, reported as $reports',
  ({ status, code, reports, asked, i }) => {
    const seen = walked[i]!;
    expect({ status: seen.status, code: seen.code, reports: reportsOf(seen.id) }).toEqual({ status, code, reports });
    if (asked !== undefined) expect(seen.asked).toContain(asked);
  },
);
test('every path was walked', () => expect(walked).toHaveLength(42));
test('nothing else was reported', () => expect(events).toHaveLength(paths.flatMap(({ reports }) => reports).length));

test('the status counts the mails that failed and the webhook that nobody could prove', async () => {
  const current = async (name: string): Promise<number | undefined> => {
    const status = await rig.send('GET', '/v1/status', { key: rig.adminKey });
    const { connections } = (await status.json()) as { connections: Record<string, { last_48_hours: number } | undefined> };
    return connections[name]?.last_48_hours;
  };
  await until('three mails failed', async () => (await current('mail_failures')) === 3);
  await until('one webhook was forged', async () => (await current('forged_webhooks')) === 1);
});

test('every error_type was reported from its cause', () => {
  const source = fs.readFileSync(new URL('../../lib/errors.ts', import.meta.url), 'utf8');
  const types = [...(/export type ErrorType =([^;]+);/.exec(source)?.[1] ?? '').matchAll(/'(\w+)'/g)].map(([, type]) => type);
  expect(types).toHaveLength(12);
  expect(new Set(events.map(({ error_type }) => error_type))).toEqual(new Set(types));
});

test('no canary is in any envelope nor in any log line (class 30)', async () => {
  const logged = (): number => rig.output().split('"event":"report"').length - 1;
  await until('every report is in the log as well', () => logged() >= events.length);
  const said = rig.output() + (await rig.envelopes()).join('\n');
  const digits = PHONES.slice(2);
  const secrets = [
    ...Object.values(CANARIES),
    'Canary',
    'canary@',
    digits,
    `(${digits.slice(0, 3)}) ${digits.slice(3, 6)}`,
    rig.apiKey,
    rig.adminKey,
    rig.secretsKey,
    new URL(rig.database.appUrl).password,
    scene.agent.webhook_url.split('/').at(-1)!,
  ];
  for (const secret of secrets) expect(said).not.toContain(secret);
  expect(rig.uncaught()).toEqual([]);
});
