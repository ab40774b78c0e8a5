import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { Refusal } from '../../lib/errors.ts';
import { streamErrorsCsv, streamHotLeadsCsv, streamLeadsCsv } from '../../lib/export-csv.ts';
import { importCsv, importJson, type ImportOptions } from '../../lib/import-leads.ts';
import { importSuppressions } from '../../lib/import-suppressions.ts';
import { testDatabase } from '../support/database.ts';
import { createEngine, phones, scored } from '../support/engine.ts';
import { readCsv } from '../mail/rfc4180.ts';
import { bodyOf } from './fake-verbs.ts';

const db = await testDatabase();
const engine = createEngine(db);
const deps = { now: () => engine.now(), newId: randomUUID, verbs: engine.verbs };
beforeEach(() => engine.reset());

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const upload = (owner: { account: string }, campaign: string, csv: string | Uint8Array, options: ImportOptions = {}) =>
  importCsv(deps, owner.account, campaign, bodyOf(typeof csv === 'string' ? utf8(csv) : csv), options);
const example = (name: string): Uint8Array => readFileSync(new URL(`../../examples/${name}`, import.meta.url));
const textOf = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
};
/** The cells of an export as records by header. */
const records = (csv: string): Record<string, string>[] => {
  expect(csv.startsWith('\ufeff')).toBe(true);
  const [header, ...rows] = readCsv(csv.slice(1));
  return rows.map((row) => Object.fromEntries(row.map((cell, i) => [header[i], cell])));
};
const refusalOf = async (work: Promise<unknown>): Promise<Refusal> => {
  const outcome = await work.then(() => null).catch((error: unknown) => error);
  if (!(outcome instanceof Refusal)) throw new Error(`not refused: ${String(outcome)}`);
  return outcome;
};
const leadsOf = async (owner: { account: string }, campaign: string) =>
  (await engine.verbs.listLeads(owner.account, engine.now(), campaign, null, null, null, 200, 'created'))!;

describe('the lists that come with the product', () => {
  it('leads.csv: 64 rows, 60 leads, 2 duplicates, 2 bad, with outcomes of every kind', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { default_country: 'US' });
    const report = await upload(owner, campaign, example('leads.csv'));
    expect(report).toMatchObject({ rows: 64, imported: 60, duplicates: 2, suppressed: 0, invalid: 2 });
    expect(report.errors.map(({ column, code }) => [column, code])).toEqual([
      ['Phone Number', 'scientific_notation'],
      ['Phone Number', 'invalid_phone'],
    ]);
    const leads = await leadsOf(owner, campaign);
    const digits = leads.map((lead) => Number(lead.phone.slice(-2)));
    const between = (from: number, to: number): number => digits.filter((n) => n >= from && n <= to).length;
    expect(Math.max(...digits)).toBeLessThanOrEqual(94);
    expect([between(0, 15), between(16, 30), between(31, 49)]).toEqual([9, 9, 10]);
    expect([between(50, 64), between(65, 74), between(75, 84), between(85, 89), between(90, 94)]).toEqual([9, 6, 7, 4, 6]);
    expect(leads.every((lead) => lead.name !== null && lead.email !== null)).toBe(true);
    const noah = leads.find((lead) => lead.name === 'Noah Bennett')!;
    expect(noah).toMatchObject({ phone: '+16175550183', company: 'Northgate Logistics' });
    expect(noah.variables).toEqual({
      'Record ID': '30420',
      'First Name': 'Noah',
      'Last Name': 'Bennett',
      Plan: 'Pro',
      City: 'Boston, MA',
      'Renewal date': '2026-06-12',
      'Lead owner': 'J. Whitcombe',
      Notes: 'Saw the webinar; wants "the annual price"',
    });
  });

  it('a spreadsheet of another country and an address book are read without being told anything', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { default_country: 'US' });
    const excel = await upload(owner, campaign, example('leads-semicolon-excel.csv'));
    expect(excel).toMatchObject({ rows: 10, imported: 10, invalid: 0 });
    const google = await upload(owner, campaign, example('leads-google-contacts.csv'));
    expect(google).toMatchObject({ rows: 10, imported: 8, invalid: 2 });
    expect(google.errors.map(({ code }) => code)).toEqual(['extension', 'missing_phone']);
    const byPhone = new Map((await leadsOf(owner, campaign)).map((lead) => [lead.phone, lead]));
    expect(byPhone.get('+493023125004')).toMatchObject({ name: 'Jörg Müller', company: 'Müller & Söhne GmbH' });
    expect(byPhone.get('+493023125004')!.variables).toMatchObject({ Bemerkung: 'Angebot über 1.200 € offen' });
    expect(byPhone.get('+14045550122')).toMatchObject({ name: 'Luis Quintero', email: 'luis.quintero@example.com' });
    expect(byPhone.has('+14045550114')).toBe(true);
  });
});

describe('an import into the database', () => {
  it('keeps every cell as it was, whatever it holds', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const strange = `Robert'); drop table leads;-- \\ "quoted" 東京 🚀 \u0001 $1 %s`;
    await upload(owner, campaign, `phone,name,__proto__\n+12025550101,"${strange.replaceAll('"', '""')}",x\n`);
    const [lead] = await leadsOf(owner, campaign);
    expect(lead).toMatchObject({ phone: '+12025550101', name: strange, variables: { column_3: 'x' } });
  });

  it('of the same file twice changes nothing, and of a cut one is finished by sending it again', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const csv = utf8(
      `phone,name\n${phones(2500)
        .map((phone, i) => `${phone},Lead ${i}`)
        .join('\n')}\n`,
    );
    const cut = bodyOf(csv, 4096, 50_000);
    const refusal = await refusalOf(importCsv(deps, owner.account, campaign, cut));
    expect(refusal).toMatchObject({ status: 400, code: 'upload_interrupted' });
    const { imported } = refusal.extra as { imported: number };
    expect(imported).toBeGreaterThan(2000);
    expect(refusal.extra).toEqual({ rows: imported, imported, duplicates: 0, invalid: 0 });
    expect(await upload(owner, campaign, csv)).toMatchObject({ rows: 2500, imported: 2500 - imported, duplicates: imported });
    expect(await upload(owner, campaign, csv)).toMatchObject({ rows: 2500, imported: 0, duplicates: 2500 });
  });

  it('counts what is suppressed among what it imported (suppressed numbers are leads that are never called)', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const [a, b] = phones(2);
    const blocked = await importSuppressions(deps, owner.account, bodyOf(utf8(`Phone;Reason\n${a};asked\n${a};again\nx;\n`)));
    expect(blocked).toMatchObject({ rows: 3, added: 1, duplicates: 1, invalid: 1 });
    expect(blocked.errors).toMatchObject([{ row: 4, column: 'Phone' }]);
    expect(await upload(owner, campaign, `phone\n${a}\n${b}\n`)).toMatchObject({ rows: 2, imported: 2, suppressed: 1 });
    expect((await leadsOf(owner, campaign)).map(({ status }) => status).sort()).toEqual(['suppressed', 'waiting']);
    expect(await importSuppressions(deps, owner.account, bodyOf(utf8(`phone\n${a}\n`)))).toMatchObject({
      added: 0,
      duplicates: 1,
    });
  });

  it('tells how to mend a number without a country code: the default_country only where there is a campaign', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const csv = 'phone\n(202) 555-0101\n';
    const told = async (report: Promise<{ errors: { code: string; message: string }[] }>) => (await report).errors;
    const suppressed = importSuppressions(deps, owner.account, bodyOf(utf8(csv)));
    const leads = [upload(owner, campaign, csv), importJson(deps, owner.account, campaign, [{ phone: '(202) 555-0101' }])];
    const [plain, ...ofCampaign] = (await Promise.all([suppressed, ...leads].map(told))).map(([error]) => error);
    expect(plain).toMatchObject({ code: 'no_country', message: expect.stringMatching(/with \+ and the country code\.$/) });
    for (const error of ofCampaign) {
      expect(error).toMatchObject({ code: 'no_country', message: expect.stringContaining('default_country') });
    }
  });

  it('takes JSON by the same rules', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { default_country: 'US' });
    const report = await importJson(deps, owner.account, campaign, [
      { phone: '(202) 555-0101', name: 'Ann', variables: { plan: 'Pro', seats: 3, vip: true, note: null } },
      { phone: '9.19877E+11' },
      { phone: '+1 202 555 0101' },
      { phone: '+12025550102', timezone: 'Nowhere', variables: { plan: 'x' } },
    ]);
    expect(report).toMatchObject({ rows: 4, imported: 1, duplicates: 1, invalid: 2 });
    expect(report.errors).toMatchObject([
      { row: 2, column: 'phone', code: 'scientific_notation' },
      { row: 4, column: 'timezone', code: 'invalid_timezone' },
    ]);
    const [lead] = await leadsOf(owner, campaign);
    expect(lead).toMatchObject({ phone: '+12025550101', variables: { plan: 'Pro', seats: 3, vip: true, note: null } });
  });

  it("refuses another account's campaign and a closed one, and reads nothing into them (class 39)", async () => {
    const owner = await engine.account();
    const stranger = await engine.account();
    const campaign = await engine.campaign(owner);
    const csv = `phone\n${phones(1)[0]}\n`;
    expect(await refusalOf(upload(stranger, campaign, csv))).toMatchObject({ status: 404 });
    expect(await refusalOf(upload(stranger, campaign, 'no phone here\n'))).toMatchObject({ status: 404 });
    const long = bodyOf(utf8(`phone\n${phones(30_000).join('\n')}\n`));
    expect(await refusalOf(importCsv(deps, stranger.account, campaign, long))).toMatchObject({ status: 404 });
    expect(await long.getReader().read()).toMatchObject({ done: true }); // whoever sent it gets to see the answer
    await upload(owner, campaign, csv);
    await engine.verbs.startCampaign(owner.account, engine.now(), campaign);
    await engine.verbs.cancelCampaign(owner.account, engine.now(), campaign);
    expect(await refusalOf(upload(owner, campaign, csv))).toMatchObject({ status: 409, code: 'campaign_closed' });
    for (const stream of [streamLeadsCsv, streamHotLeadsCsv, streamErrorsCsv]) {
      expect(await refusalOf(stream(deps, stranger.account, campaign))).toMatchObject({ status: 404 });
    }
  });

  it('says how far it came when the campaign is closed under it', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const lines = phones(2500).join('\n');
    let stored = 0;
    const verbs: typeof engine.verbs = {
      ...engine.verbs,
      importLeads: async (...args) => {
        if (stored > 0) await engine.verbs.cancelCampaign(owner.account, engine.now(), campaign);
        stored += 1;
        return engine.verbs.importLeads(...args);
      },
    };
    const refusal = await refusalOf(importCsv({ ...deps, verbs }, owner.account, campaign, bodyOf(utf8(`phone\n${lines}\n`))));
    expect(refusal).toMatchObject({ status: 409, code: 'campaign_closed', extra: { rows: 1000, imported: 1000 } });
    expect((await engine.verbs.getCampaign(owner.account, engine.now(), campaign))!.counts.leads).toEqual({ canceled: 1000 });
  });

  it('keeps its campaign open from its first bytes on, though the last lead ends before the next ones come (class 19)', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const [known, sent, late] = phones(3);
    await upload(owner, campaign, `phone\n${known}\n`);
    const wire = new TransformStream<Uint8Array, Uint8Array>();
    const writer = wire.writable.getWriter();
    const report = importCsv(deps, owner.account, campaign, wire.readable);
    await writer.write(utf8(`phone,x\n${sent},1\n`));
    const open = 'select id from ringleader.imports where campaign_id = $1 and finished_at is null';
    await expect.poll(async () => (await db.pool.query(open, [campaign])).rowCount, { timeout: 20_000 }).toBe(1);
    await engine.verbs.startCampaign(owner.account, engine.now(), campaign);
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'completed', scored(50));
    const status = async () => (await engine.verbs.getCampaign(owner.account, engine.now(), campaign))!.status;
    expect(await status()).toBe('active');
    await writer.write(utf8(`${late},2\n`));
    await writer.close();
    expect(await report).toMatchObject({ rows: 2, imported: 2 });
    for (const { call_id } of await engine.place()) await engine.tell(owner, call_id, 'completed', scored(50));
    expect(await status()).toBe('completed');
  });

  it('that never sends anything holds its campaign no longer than its lease (class 19)', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    await upload(owner, campaign, `phone\n${phones(1)[0]}\n`);
    await engine.verbs.startCampaign(owner.account, engine.now(), campaign);
    const wire = new TransformStream<Uint8Array, Uint8Array>();
    const writer = wire.writable.getWriter();
    const report = importCsv(deps, owner.account, campaign, wire.readable);
    const held = 'select id from ringleader.imports where campaign_id = $1 and finished_at is null';
    const holding = async () => (await db.pool.query(held, [campaign])).rowCount;
    await expect.poll(holding, { timeout: 20_000 }).toBe(1);
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'completed', scored(50));
    engine.pass(9);
    await engine.verbs.tick(engine.now(), 100);
    expect(await holding()).toBe(1);
    engine.pass(2);
    await engine.verbs.tick(engine.now(), 100);
    expect((await engine.verbs.getCampaign(owner.account, engine.now(), campaign))!.status).toBe('completed');
    await writer.write(utf8(`phone\n${phones(1, 1)[0]}\n`));
    await writer.close();
    expect(await refusalOf(report)).toMatchObject({ status: 409 });
  });

  it('is closed when the file turns out bad, so that the campaign can complete (class 19)', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    await upload(owner, campaign, `phone\n${phones(1)[0]}\n`);
    await refusalOf(upload(owner, campaign, 'city\nRome\n'));
    await engine.verbs.startCampaign(owner.account, engine.now(), campaign);
    const [call] = await engine.place();
    await engine.tell(owner, call.call_id, 'completed', scored(50));
    expect((await engine.verbs.getCampaign(owner.account, engine.now(), campaign))!.status).toBe('completed');
  });
});

describe('bad rows', () => {
  it('come back as a CSV in their own columns, and once corrected go in, with nothing lost on the way', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { default_country: 'US' });
    const csv = `zip,Phone,a note,=x,Name\n00123,9.19877E+11,"says ""hi"", twice\nor more",=1+1,Ann\n,+1 (202) 555-010,,-,Bob\n,+12025550103,,,Cy\n`;
    expect(await upload(owner, campaign, csv)).toMatchObject({ rows: 3, imported: 1, invalid: 2 });
    const exported = await textOf(await streamErrorsCsv(deps, owner.account, campaign));
    expect(readCsv(exported.slice(1))).toEqual([
      ['zip', 'Phone', 'a note', "'=x", 'Name', 'import_error'],
      [
        '00123',
        '9.19877E+11',
        'says "hi", twice\nor more',
        "'=1+1",
        'Ann',
        expect.stringMatching(/^row 2, Phone: .*\(scientific_notation\)$/),
      ],
      ['', "'+1 (202) 555-010", '', "'-", 'Bob', expect.stringMatching(/^row 3, Phone: .*\(invalid_phone\)$/)],
    ]);
    const corrected = exported.replace('9.19877E+11', '+1 202 555 0101').replace('555-010,', '555-0102,');
    expect(await upload(owner, campaign, corrected)).toMatchObject({ rows: 2, imported: 2, invalid: 0 });
    const leads = await leadsOf(owner, campaign);
    const ann = leads.find((lead) => lead.name === 'Ann')!;
    expect(ann.variables).toEqual({ zip: '00123', 'a note': 'says "hi", twice\nor more', '=x': '=1+1' });
    expect(leads.map((lead) => lead.phone).sort()).toEqual(['+12025550101', '+12025550102', '+12025550103']);
  });

  it('of files with different columns share one table', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner, { default_country: 'US' });
    await upload(owner, campaign, 'phone,b,a\n1,2,3\n');
    await upload(owner, campaign, 'c,phone\n4,x\n');
    await upload(owner, campaign, `phone,a,b\n${'x,5,6,7\n'.repeat(1)}`);
    expect(records(await textOf(await streamErrorsCsv(deps, owner.account, campaign)))).toMatchObject([
      { phone: '1', b: '2', a: '3', c: '', column_4: '' },
      { phone: 'x', b: '', a: '', c: '4', column_4: '' },
      { phone: 'x', b: '6', a: '5', c: '', column_4: '7' },
    ]);
  });

  it('are all kept, however many; the answer shows the first hundred', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const report = await upload(owner, campaign, `phone,n\n${Array.from({ length: 2300 }, (_, i) => `x,${i}`).join('\n')}\n`);
    expect(report).toMatchObject({ rows: 2300, imported: 0, invalid: 2300 });
    expect(report.errors.map(({ row }) => row)).toEqual(Array.from({ length: 100 }, (_, i) => i + 2));
    const rows = records(await textOf(await streamErrorsCsv(deps, owner.account, campaign)));
    expect(rows.map(({ n }) => Number(n))).toEqual(Array.from({ length: 2300 }, (_, i) => i));
  });
});

describe('the exports of a campaign', () => {
  it('hold every lead once with what became of it, and no cell that a spreadsheet would run (class 35)', async () => {
    const owner = await engine.account({ timezone: 'Asia/Kolkata', cap: 50 });
    const campaign = await engine.campaign(owner);
    const header = 'phone,name,company,=Plan,status\n';
    await importSuppressions(deps, owner.account, bodyOf(utf8('phone\n+14155550003\n')));
    await upload(owner, campaign, `${header}+14155550000,=cmd(),@Acme,-1+2,gold\n+14155550001,Bob,,,\n+14155550003,Cy,,,\n`);
    await importJson(deps, owner.account, campaign, [{ phone: '+14155550004', variables: { late: 1 } }]);
    await engine.verbs.startCampaign(owner.account, engine.now(), campaign);
    const [first, second] = (await engine.place(2)).sort((a, b) => a.phone.localeCompare(b.phone));
    await engine.tell(owner, first.call_id, 'completed', { ...scored(90), duration_seconds: 30 });
    await engine.tell(owner, second.call_id, 'busy');

    const leads = records(await textOf(await streamLeadsCsv(deps, owner.account, campaign)));
    expect(leads.map(({ phone }) => phone)).toEqual(['+14155550000', '+14155550001', '+14155550003', '+14155550004']);
    expect(leads[0]).toMatchObject({
      name: "'=cmd()",
      company: "'@Acme",
      status: 'reached',
      disposition: 'completed',
      attempts: '1',
      score: '90',
      temperature: 'hot',
      evidence: 'said 90',
      "'=Plan": "'-1+2",
      status_2: 'gold',
      last_call_at: '2026-03-02T10:00:00.000Z',
    });
    expect(leads[1]).toMatchObject({ status: 'waiting', disposition: 'busy', attempts: '1', score: '' });
    expect(leads[2]).toMatchObject({ status: 'suppressed', attempts: '0', reason: expect.stringContaining('suppressed') });
    expect(leads[3]).toMatchObject({ status: 'waiting', attempts: '0', late: '1', other_variables: '' });

    const hot = await textOf(await streamHotLeadsCsv(deps, owner.account, campaign));
    expect(hot).toBe(
      '\ufeffname,phone,score,temperature,email,company,call_at,summary\r\n' +
        "'=cmd(),+14155550000,90,hot,,'@Acme,2026-03-02T15:30:00+05:30,said 90\r\n",
    );
  });

  it('say of every lead that was never dialled why', async () => {
    const owner = await engine.account();
    const [early, late, never] = phones(3);
    const reasons = async (campaign: string): Promise<string[]> => {
      const leads = records(await textOf(await streamLeadsCsv(deps, owner.account, campaign)));
      return leads.map(({ status, attempts, reason }) => `${status} ${attempts}: ${reason}`);
    };
    await importSuppressions(deps, owner.account, bodyOf(utf8(`phone\n${never}\n`)));
    const ending = await engine.campaign(owner, { ends_at: new Date(engine.now().getTime() + 3_600_000).toISOString() });
    await upload(owner, ending, `phone\n${early}\n${late}\n${never}\n`);
    expect(await reasons(ending)).toEqual([
      'waiting 0: not called yet',
      'waiting 0: not called yet',
      expect.stringMatching(/^suppressed 0: .*suppress/),
    ]);
    await engine.verbs.startCampaign(owner.account, engine.now(), ending);
    engine.pass(60);
    await engine.verbs.tick(engine.now(), 100);
    expect((await reasons(ending)).slice(0, 2)).toEqual([
      'expired 0: the campaign ended before it could be called',
      'expired 0: the campaign ended before it could be called',
    ]);
    const canceled = await engine.campaign(owner);
    await upload(owner, canceled, `phone\n${early}\n`);
    await engine.verbs.startCampaign(owner.account, engine.now(), canceled);
    await engine.verbs.cancelCampaign(owner.account, engine.now(), canceled);
    expect(await reasons(canceled)).toEqual(['canceled 0: the campaign was canceled before it was called']);
  });

  it('of an empty campaign are a header row', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    for (const stream of [streamLeadsCsv, streamHotLeadsCsv, streamErrorsCsv]) {
      const csv = await textOf(await stream(deps, owner.account, campaign));
      expect(csv).toMatch(/^\ufeff[^\r\n]+\r\n$/);
    }
  });

  it('are read page by page as they are taken: each lead once, variables that come late beside the others', async () => {
    const owner = await engine.account();
    const campaign = await engine.campaign(owner);
    const numbers = phones(2345);
    await upload(
      owner,
      campaign,
      `phone,early\n${numbers
        .slice(0, 2000)
        .map((phone) => `${phone},yes`)
        .join('\n')}\n`,
    );
    await upload(
      owner,
      campaign,
      `phone,later\n${numbers
        .slice(2000)
        .map((phone) => `${phone},"a,b"`)
        .join('\n')}\n`,
    );
    let pages = 0;
    const verbs: typeof engine.verbs = {
      ...engine.verbs,
      exportLeads: (...args) => {
        pages += 1;
        return engine.verbs.exportLeads(...args);
      },
    };
    const stream = await streamLeadsCsv({ ...deps, verbs }, owner.account, campaign);
    expect(pages).toBe(1);
    const leads = records(await textOf(stream));
    expect(pages).toBeGreaterThan(3);
    expect(leads.map(({ phone }) => phone)).toEqual(numbers);
    expect(leads.at(0)).toMatchObject({ early: 'yes', other_variables: '' });
    expect(JSON.parse(leads.at(-1)!.other_variables)).toEqual({ later: 'a,b' });
  });
});
