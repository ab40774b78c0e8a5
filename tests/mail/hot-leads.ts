/** The hot leads as the mail hands them over, from the real database: read back by another implementation, and however many they are. Sized by its callers. */
import { randomUUID } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { from } from 'pg-copy-streams';
import { afterEach, expect, test } from 'vitest';
import { openLink } from '../../lib/auth.ts';
import type { Deps } from '../../lib/deps.ts';
import type { Config } from '../../lib/env.ts';
import { streamHotLeadsCsv } from '../../lib/export-csv.ts';
import type { Mail } from '../../lib/mail.ts';
import { sweep } from '../../lib/summarise.ts';
import { placeOf, type HotLead, type HotLeadPlace } from '../../lib/verb-shapes.ts';
import { type Verbs } from '../../lib/verbs.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';
import type { Owner } from '../sql/look-up.ts';

const SECRET = Buffer.alloc(32, 1).toString('base64');
const EVIDENCE = 500;
/** Texts that break writers and spreadsheets: each is a name, a company and an evidence. */
const TEXTS = [
  'Doe, Jane',
  'said "yes", twice',
  'two\r\nlines',
  'a\nline feed',
  '🔥 Zoë 👩‍👩‍👧',
  '=HYPERLINK("https://evil.example","click")',
  '+1 (415) 555-0100',
  '-2+3',
  '@SUM(A1)',
  '＝cmd|calc',
  '＋1',
  '－1',
  '＠x',
  '\ttab',
  ' \u00a0=1',
  'نور الهدى',
  'אברהם, "רות"',
  "'quoted",
  '+14155550123',
  '-42',
  '山田 太郎',
  '',
];

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
/** Megabytes that are still held, strings and buffers alike. */
const held = (): number => {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 1_000_000;
};

const idOf = ({ lead_id }: HotLead): string => lead_id;

/** @param many more hot leads than fit a mail */
export const hotLeadTests = async (many: number): Promise<void> => {
  const db = await testDatabase();
  const engine = createEngine(db);
  const { verbs, now } = engine;
  afterEach(() => engine.reset());

  /** Sweeps until nothing is due, and answers with what was handed to the mail provider. */
  const mailed = async (seen: Verbs = verbs): Promise<Mail[]> => {
    const sent: Mail[] = [];
    await sweep({
      config: { publicUrl: 'https://r.example', secretsKey: SECRET, summaryEnabled: true } as Config,
      now,
      newId: () => randomUUID(),
      elapsedMs: () => 0,
      verbs: seen,
      mail: {
        send: (mail) => (sent.push(mail), Promise.resolve({ outcome: 'sent', messageId: 'm' })),
        find: () => Promise.reject(new Error('nothing is to be looked up')),
      },
      report: (type, error) => {
        throw new Error(`nothing was to be reported: ${type}`, { cause: error });
      },
    });
    return sent;
  };

  /** The hot leads as they come in pages of `size`; `between` is done after each page, counted from one. */
  const inPages = async (
    owner: Owner,
    campaign: string,
    size: number,
    between: (page: number) => unknown = () => null,
  ): Promise<string[]> => {
    const ids: string[] = [];
    let after: HotLeadPlace | null = null;
    for (let n = 1; ; n += 1) {
      const page: HotLead[] = (await verbs.listHotLeads(owner.account, now(), campaign, after, size))!;
      const last = page.at(-1);
      if (!last) return ids;
      ids.push(...page.map(idOf));
      after = placeOf(last);
      await between(n);
    }
  };

  /** The verbs, which measure at every page of hot leads what is held by then. */
  const measured = (): { verbs: Verbs; pages: number[] } => {
    const pages: number[] = [];
    const watching = new Proxy(verbs, {
      get: (target, name: keyof Verbs) =>
        name === 'listHotLeads'
          ? (...args: Parameters<Verbs['listHotLeads']>) => (pages.push(held()), target.listHotLeads(...args))
          : target[name],
    });
    return { verbs: watching, pages };
  };

  test('the attachment, read by Postgres’s own CSV reader, equals the database, best first, ties by the later call, each lead once (classes 35, 36)', async () => {
    const owner = await engine.account({ cap: 100, timezone: 'Asia/Kolkata' });
    const campaign = await engine.campaign(owner);
    const leads = await engine.leads(owner.account, campaign, phones(TEXTS.length));
    await verbs.startCampaign(owner.account, now(), campaign);
    await db.pool.query(
      `update ringleader.leads l set name = t.text, company = t.text, email = t.text from unnest($1::uuid[], $2::text[]) t(id, text) where l.id = t.id`,
      [leads, TEXTS],
    );
    const calls = await engine.place();
    for (const [i, call] of calls.entries()) {
      engine.pass(1);
      await db.pool.query('update ringleader.calls set placed_at = $2 where id = $1', [call.call_id, now()]);
      const text = TEXTS[leads.indexOf(call.lead_id!)]!;
      await engine.tell(owner, call.call_id, 'completed', {
        analysis: { state: 'valid', score: 90 - (i % 3) * 2.5, evidence: text },
      });
    }
    const mail = (await mailed()).find(({ metadata }) => metadata['type'] === 'campaign_summary');
    expect(mail?.subject).toMatch(new RegExp(` — ${TEXTS.length} hot leads$`));
    // In pages, however small, they come in the same order.
    const atOnce = (await verbs.listHotLeads(owner.account, now(), campaign, null, 1000))!;
    expect(atOnce).toHaveLength(TEXTS.length);
    for (const size of [1, 4, TEXTS.length]) expect(await inPages(owner, campaign, size), `of ${size}`).toEqual(atOnce.map(idOf));
    const bytes = Buffer.from(mail?.attachments[0]?.base64 ?? '', 'base64');
    expect([...bytes.subarray(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);

    const client = await db.pool.connect();
    try {
      await client.query(`create temp table file (n int generated always as identity, name text, phone text, score text, temperature text, email text,
      company text, call_at text, summary text)`);
      const copy = client.query(
        from(
          'copy file (name, phone, score, temperature, email, company, call_at, summary) from stdin (format csv, header match)',
        ),
      );
      await pipeline([bytes.subarray(3)], copy);
      const guard = (cell: string): string =>
        `case when ${cell} ~ '^\\s*[=+\\-@\\t\\r\\n＝＋－＠]' and ${cell} !~ '^[+-]?[0-9]+$' then '''' || ${cell} else nullif(${cell}, '') end`;
      const { rows } = await client.query<{ same: boolean; n: number }>(
        `with truth as (
         select row_number() over (order by l.score desc, c.placed_at desc, l.id) as n, ${guard('l.name')} as name, l.phone, l.score::text, l.temperature::text,
           ${guard('l.email')} as email, ${guard('l.company')} as company,
           to_char(c.placed_at at time zone 'Asia/Kolkata', 'YYYY-MM-DD"T"HH24:MI:SS') || '+05:30' as call_at, ${guard('l.evidence')} as summary
         from ringleader.leads l join ringleader.calls c on c.lead_id = l.id where l.campaign_id = $1
       )
       select f is not distinct from t as same, t.n::int from truth t full join
         (select n::bigint, name, phone, score, temperature, email, company, call_at, summary from file) f on f.n = t.n order by t.n`,
        [campaign],
      );
      expect(rows).toEqual(TEXTS.map((_, i) => ({ same: true, n: i + 1 })));
    } finally {
      client.release(true);
    }
    expect(TEXTS).toHaveLength(22);
  });

  test('what changes while somebody reads the hot leads in pages hides no other from him, and those that a tag alone says are hot come last', async () => {
    const owner = await engine.account({ cap: 100 });
    const campaign = await engine.campaign(owner);
    await engine.leads(owner.account, campaign, phones(12));
    await verbs.startCampaign(owner.account, now(), campaign);
    for (const [i, call] of (await engine.place()).entries()) {
      const score = i < 8 ? { score: 90 } : { tag: 'hot' as const };
      await engine.tell(owner, call.call_id, 'completed', { analysis: { state: 'valid', ...score, evidence: 'yes' } });
    }
    const before = (await verbs.listHotLeads(owner.account, now(), campaign, null, 1000))!.map(idOf);
    expect(before).toHaveLength(12);
    // The first is no longer hot, the third less so, when its reader has seen them both.
    const change = (page: number) =>
      page === 1
        ? db.pool.query(
            `update ringleader.leads set temperature = case when id = $1 then 'cold' else 'hot' end, score = case when id = $1 then 10 else 75 end where id = any ($2)`,
            [before[0], [before[0], before[2]]],
          )
        : null;
    const read = await inPages(owner, campaign, 4, change);
    expect(read).toEqual([...before.slice(0, 8), before[2], ...before.slice(8)]);
    const { rows } = await db.pool.query<{ score: number | null }>(
      'select l.score from unnest($1::uuid[]) with ordinality u(id, n) join ringleader.leads l using (id) order by u.n',
      [before],
    );
    expect(rows.map(({ score }) => score)).toEqual([10, 90, 75, 90, 90, 90, 90, 90, null, null, null, null]);
  });

  test(`${many} hot leads become a link whose CSV has each of them once; neither holds more than a mail’s worth of memory`, async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    await engine.leads(owner.account, campaign, phones(1, 9_000_000 - 5_550_000));
    await verbs.startCampaign(owner.account, now(), campaign);
    await db.pool.query(
      `with made as (
       insert into ringleader.leads (id, account_id, campaign_id, phone, name, status, attempts, score, temperature, evidence, scored_call, created_at)
       select gen_random_uuid(), $1, $2, '+1416' || (1000000 + n), 'Lead ' || n, 'reached', 1, 70 + n % 31, 'hot', repeat('x', $3), gen_random_uuid(), $4
       from generate_series(1, $5) n returning id, phone, scored_call
     )
     insert into ringleader.calls (id, account_id, kind, campaign_id, lead_id, agent_id, phone, status, disposition, attempt, provider, placed_at, ended_at, created_at)
     select scored_call, $1, 'campaign', $2, id, $6, phone, 'completed', 'completed', 1, 'bolna', $4, $4, $4 from made`,
      [owner.account, campaign, EVIDENCE, now(), many, owner.agent],
    );
    await db.pool.query('analyze ringleader.leads, ringleader.calls');
    const [call] = await engine.place();
    await engine.tell(owner, call!.call_id, 'completed', scored(95));

    const composing = measured();
    const before = held();
    const mail = (await mailed(composing.verbs)).find(({ metadata }) => metadata['type'] === 'campaign_summary')!;
    expect(mail.attachments).toEqual([]);
    expect(mail.subject).toMatch(new RegExp(` — ${many + 1} hot leads$`));
    // It stopped reading when it knew that they are too many.
    expect(composing.pages.length).toBeLessThan(15);
    expect(Math.max(...composing.pages) - before).toBeLessThan(16);
    const links = [...mail.html.matchAll(/\/links\/([\w.-]+)/g)].map(([, link]) => link!);
    const payloads = await Promise.all(links.map((link) => openLink(SECRET, link, now())));
    expect(payloads).toContainEqual({ account_id: owner.account, action: 'hot_leads_csv', campaign_id: campaign });

    const reading = measured();
    const stream = await streamHotLeadsCsv({ verbs: reading.verbs, now } as unknown as Deps, owner.account, campaign);
    const found = new Set<string>();
    let rows = 0;
    let bytes = 0;
    let rest = '';
    const text = new TextDecoder();
    for await (const chunk of stream) {
      bytes += chunk.length;
      const lines = (rest + text.decode(chunk, { stream: true })).split('\r\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const phone = line.split(',', 2)[1]!;
        if (phone.startsWith('+')) found.add(phone);
        rows += 1;
      }
    }
    expect({ rows, found: found.size, rest }).toEqual({ rows: many + 2, found: many + 1, rest: '' });
    expect(bytes).toBeGreaterThan(many * EVIDENCE);
    // What is held beside the ids already seen: one page, however large the file.
    expect(Math.max(...reading.pages) - before).toBeLessThan(16);
  }, 600_000);
};
