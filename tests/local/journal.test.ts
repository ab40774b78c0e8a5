import fs from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { startInbox } from '../../local/inbox.ts';
import type { Entry } from '../../local/inbox/store.ts';
import { openJournal } from '../../local/journal.ts';
import { ask, manualClock } from '../edges/support.ts';
import { testDirectory } from '../support/directory.ts';

const base = testDirectory('journal');
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

describe('a journal', () => {
  test('gives back what was written before this start, in order', () => {
    const file = path.join(base, 'made for it', 'a.jsonl');
    const first = openJournal<{ n: number; text: string }>(file);
    expect(first.past).toEqual([]);
    const entries = [
      { n: 1, text: 'two\nlines' },
      { n: 2, text: 'Éva 🙂' },
    ];
    for (const entry of entries) first.append(entry);
    expect(openJournal(file).past).toEqual(entries);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  });

  test('drops a last line that a kill cut short, and goes on behind the one before it', () => {
    const file = path.join(base, 'cut.jsonl');
    fs.writeFileSync(file, '{"name":"Éva"}\n{"name":"cut sh');
    const cut = openJournal(file);
    expect(cut.past).toEqual([{ name: 'Éva' }]);
    cut.append({ name: 'next' });
    expect(openJournal(file).past).toEqual([{ name: 'Éva' }, { name: 'next' }]);
  });

  test('says in one line which line it cannot understand', () => {
    const file = path.join(base, 'broken.jsonl');
    fs.writeFileSync(file, '1\nno json\n3\n');
    expect(() => openJournal(file)).toThrow(
      /^[^\n]*broken\.jsonl cannot be understood \(line 2\): start with --fresh to begin anew$/,
    );
  });
});

test('the inbox still has, and still finds, a mail that it took before it was started again', async () => {
  const clock = manualClock();
  const file = path.join(base, 'messages.jsonl');
  const headers = { 'x-postmark-server-token': 'token' };
  const mail = {
    From: 'calls@example.com',
    To: 'alex@example.com',
    Subject: 'Hello',
    TextBody: 'Hi',
    Metadata: { notification_id: 'n-1' },
  };
  const first = await startInbox({ clock, journal: openJournal<Entry>(file) });
  await ask(`${first.url}/email`, 'POST', mail, headers);
  const taken = (await ask(`${first.url}/messages`)).body;
  expect(taken).toMatchObject([{ Subject: 'Hello' }]);
  await first.stop();

  const second = await startInbox({ clock, journal: openJournal<Entry>(file) });
  clock.advance(10_000);
  expect((await ask(`${second.url}/messages`)).body).toEqual(taken);
  const found = await ask(
    `${second.url}/messages/outbound?count=5&offset=0&metadata_notification_id=n-1`,
    'GET',
    undefined,
    headers,
  );
  expect(found.body).toMatchObject({ TotalCount: 1, Messages: [{ Subject: 'Hello', Recipients: ['alex@example.com'] }] });
  await second.stop();
});
