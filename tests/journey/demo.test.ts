/** The first line of the README, watched from outside: nothing here knows more than the CSV, the wire and the database. */
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readCsv } from '../mail/rfc4180.ts';
import { demoOf, openScene } from './scene.ts';
import { compareLeads, compareMail } from './table.ts';

interface Created {
  recipient_phone_number: string;
  user_data: Record<string, unknown>;
}

test('the example CSV goes in, calls go out, webhooks come back, and the mail in the inbox is right to the row', async () => {
  const scene = await openScene();
  const campaign = await demoOf(scene);
  await scene.until([campaign.id], 'completed', 300_000);
  const rules = { maxAttempts: 3, noAnswer: true, busy: true, unknown: false };
  expect(await compareLeads(scene, campaign.id, rules, true)).toBe(60);
  await compareMail(scene, campaign.id);
  expect(await scene.summaries()).toHaveLength(1);

  // The CSV, read by a reader of the test's own: every extra column arrived at the phone network with its lead.
  const file = fs.readFileSync(path.resolve(import.meta.dirname, '..', '..', 'examples', 'leads.csv'), 'utf8');
  const [header, ...rows] = readCsv(file.replace(/^\uFEFF/, ''));
  expect(rows).toHaveLength(64);
  const calls = (await (await fetch(`${scene.ready.phone_network_url}/calls`)).json()) as Created[];
  const recognised = ['First Name', 'Last Name', 'E-mail Address', 'Phone Number', 'Company Name'];
  const extra = header.flatMap((name, i) => (recognised.includes(name) ? [] : [[name, i] as const]));
  expect(extra.map(([name]) => name)).toEqual(['Record ID', 'Plan', 'City', 'Renewal date', 'Lead owner', 'Notes']);
  const phoneAt = header.indexOf('Phone Number');
  const seen = new Set<string>();
  for (const { recipient_phone_number: to, user_data: data } of calls) {
    const row = rows.find(([id]) => id === data['Record ID']);
    expect(row, to).toBeDefined();
    expect(Object.fromEntries(extra.map(([name]) => [name, data[name]])), to).toEqual(
      Object.fromEntries(extra.map(([name, i]) => [name, row![i]])),
    );
    expect(row![phoneAt].replace(/\D/g, '').slice(-2)).toBe(to.slice(-2));
    expect(data).toMatchObject({ campaign_id: campaign.id, lead_id: expect.any(String), attempt_id: expect.any(String) });
    seen.add(to);
  }
  expect(seen.size).toBe(60);
}, 480_000);
