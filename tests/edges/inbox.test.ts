import { Buffer } from 'node:buffer';
import { ServerClient } from 'postmark';
import type { Models } from 'postmark';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startInbox } from '../../local/inbox.ts';
import type { Edge } from '../../local/edge-server.ts';
import { ask, manualClock } from './support.ts';
import type { ManualClock } from './support.ts';

let inbox: Edge;
let clock: ManualClock;
beforeEach(async () => {
  clock = manualClock();
  inbox = await startInbox({ clock });
});
afterEach(() => inbox.stop());

/** `timeout` in real seconds. */
const client = (timeout = 5) => new ServerClient('token', { useHttps: false, requestHost: new URL(inbox.url).host, timeout });
const mail = (rest: Partial<Models.Message> = {}): Models.Message => ({
  From: 'Ringleader <calls@example.com>',
  To: 'alex@example.com',
  Subject: 'Campaign complete: Spring — 2 hot leads',
  HtmlBody: '<h1>Hello</h1>',
  TextBody: 'Hello',
  Metadata: { notification_id: 'n-1' },
  ...rest,
});
type Stored = Record<string, unknown> & { MessageID: string };
const stored = async (): Promise<Stored[]> => (await ask(`${inbox.url}/messages`)).body as Stored[];
/** What a send ends with: the MessageID, or the error's status and code. */
const send = (message: Models.Message, timeout?: number) =>
  client(timeout)
    .sendEmail(message)
    .then(
      (answer) => ({ sent: answer }),
      (error: { statusCode?: number; code?: number; name: string }) => ({ status: error.statusCode, code: error.code }),
    );

describe('sending', () => {
  test('a mail arrives as it was sent, attachment bytes included (class 35)', async () => {
    const bytes = Buffer.from([0xef, 0xbb, 0xbf, 0, 255, ...Buffer.from('name,phone\r\nÉva,+12025550100\r\n')]);
    const attachment = {
      Name: 'Spring_hot_leads.csv',
      ContentType: 'text/csv',
      Content: bytes.toString('base64'),
      ContentID: null,
    };
    const Headers = [{ Name: 'X-Test', Value: 'yes' }];
    const answer = await client().sendEmail(mail({ Attachments: [attachment], Headers }));
    expect(answer).toEqual({
      To: 'alex@example.com',
      SubmittedAt: '2026-03-02T10:00:00.000Z',
      MessageID: expect.stringMatching(/^[\da-f-]{36}$/),
      ErrorCode: 0,
      Message: 'OK',
    });
    expect(await stored()).toEqual([
      {
        MessageID: answer.MessageID,
        To: 'alex@example.com',
        From: 'Ringleader <calls@example.com>',
        Subject: 'Campaign complete: Spring — 2 hot leads',
        HtmlBody: '<h1>Hello</h1>',
        TextBody: 'Hello',
        Metadata: { notification_id: 'n-1' },
        Headers,
        Attachments: [{ Name: attachment.Name, ContentType: attachment.ContentType, Content: attachment.Content }],
        ReceivedAt: '2026-03-02T10:00:00.000Z',
      },
    ]);
    const file = await fetch(`${inbox.url}/messages/${answer.MessageID}/attachments/0`);
    expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true);
    expect(file.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''Spring_hot_leads.csv");
  });

  test('messages are listed newest first', async () => {
    for (const Subject of ['one', 'two', 'three']) await client().sendEmail(mail({ Subject }));
    expect((await stored()).map(({ Subject }) => Subject)).toEqual(['three', 'two', 'one']);
  });

  test('without a token both APIs answer 401, code 10', async () => {
    for (const [method, path] of [
      ['POST', '/email'],
      ['GET', '/messages/outbound?count=1&offset=0'],
    ]) {
      const answer = await ask(inbox.url + path, method, method === 'POST' ? mail() : undefined);
      expect([answer.status, answer.body]).toEqual([401, { ErrorCode: 10, Message: expect.any(String) }]);
    }
  });

  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`field_${n}`, 'x']));
  const file = (rest: object) => ({
    Attachments: [{ Name: 'a.csv', ContentType: 'text/csv', Content: 'YQ==', ContentID: null, ...rest }],
  });
  const REFUSED: [string, Partial<Models.Message>, number, number][] = [
    ['no From', { From: '' }, 422, 300],
    ['a From without @', { From: 'calls' }, 422, 300],
    ['two Froms', { From: 'a@example.com, b@example.com' }, 422, 300],
    ['no recipient', { To: '' }, 422, 300],
    ['a recipient without @', { To: 'alex' }, 422, 300],
    ['a recipient with a bad domain', { To: 'alex@exa mple.com' }, 422, 300],
    ['a recipient with a bad mailbox', { To: 'al..ex@example.com' }, 422, 300],
    ['an unquoted name with punctuation', { To: 'Rivera, Alex <alex@example.com>' }, 422, 300],
    ['51 recipients', { To: Array.from({ length: 51 }, (_, n) => `a${n}@example.com`).join(',') }, 422, 300],
    ['no body', { HtmlBody: '', TextBody: '' }, 422, 300],
    ['a line break in the subject', { Subject: 'a\r\nBcc: eve@example.com' }, 422, 300],
    ['11 metadata fields', { Metadata: fields(11) }, 422, 300],
    ['a metadata name of 21', { Metadata: { ['n'.repeat(21)]: 'x' } }, 422, 300],
    ['a metadata value of 81', { Metadata: { name: 'x'.repeat(81) } }, 422, 300],
    ['a metadata value that is no string', { Metadata: { name: 1 as unknown as string } }, 422, 403],
    ['an attachment that is not base64', file({ Content: 'a b' }), 422, 300],
    ['an attachment without a type', file({ ContentType: '' }), 422, 300],
    ['an attachment of a forbidden type', file({ Name: 'a.exe' }), 422, 411],
    ['more than 10 MB', file({ Content: 'A'.repeat(10_000_004) }), 413, 300],
  ];

  test.each(REFUSED)('refused as Postmark does: %s', async (_title, rest, status, code) => {
    expect(await send(mail(rest))).toEqual({ status, code });
    expect(await stored()).toEqual([]);
  });

  test('the largest that is allowed is taken', async () => {
    expect(REFUSED).toHaveLength(19);
    const limits = { Metadata: { ...fields(9), ['n'.repeat(20)]: 'x'.repeat(80) } };
    const allowed = [
      limits,
      file({ Content: 'A'.repeat(9_999_000) }),
      { To: '"Rivera, Alex" <alex@example.com>, Kim Ödegård <kim+x@example.co.uk>' },
      { HtmlBody: '' },
    ];
    for (const rest of allowed) expect(await send(mail(rest))).toHaveProperty('sent');
    expect(await stored()).toHaveLength(allowed.length);
  });

  test('a body that is no JSON is 402', async () => {
    const answer = await ask(`${inbox.url}/email`, 'POST', '{', { 'x-postmark-server-token': 't' });
    expect([answer.status, answer.body]).toEqual([422, { ErrorCode: 402, Message: expect.any(String) }]);
  });
});

describe('the recipient decides', () => {
  test('inactive@ is refused for good', async () => {
    expect(await send(mail({ To: 'inactive@example.com' }))).toEqual({ status: 422, code: 406 });
    expect(await send(mail({ To: 'a@example.com', Cc: 'Old One <inactive+x@example.com>' }))).toEqual({ status: 422, code: 406 });
    expect(await stored()).toEqual([]);
  });

  test.each([
    ['limit', 429],
    ['down', 500],
  ])('%s@ is answered %i twice, then taken; every mail anew', async (name, status) => {
    for (const notification_id of ['n-1', 'n-2']) {
      const message = mail({ To: `${name}@example.com`, Metadata: { notification_id } });
      expect(await send(message)).toMatchObject({ status });
      expect(await send(message)).toMatchObject({ status });
      expect(await send(message)).toHaveProperty('sent');
      expect(await send(message)).toHaveProperty('sent');
    }
    expect(await stored()).toHaveLength(4);
  });

  test('lost@ is taken and never answered; drop@ is neither', async () => {
    const lost = { status: 0, code: 0 };
    expect(await send(mail({ To: 'lost@example.com' }), 0.3)).toEqual(lost);
    expect(await send(mail({ To: 'drop@example.com' }), 0.3)).toEqual(lost);
    expect((await stored()).map(({ To }) => To)).toEqual(['lost@example.com']);
    clock.advance(10_000);
    const { Messages } = await client().getOutboundMessages({ metadata_notification_id: 'n-1' });
    expect(Messages.map(({ To }) => To[0].Email)).toEqual(['lost@example.com']);
  });

  test('html@ is answered 200 with HTML and not taken', async () => {
    expect(await send(mail({ To: 'html@example.com' }))).toEqual({ sent: expect.stringContaining('<!doctype html>') });
    expect(await stored()).toEqual([]);
  });
});

describe('searching', () => {
  test('a mail is found by its metadata once it is indexed, in the shape of Postmark', async () => {
    const { MessageID } = await client().sendEmail(mail({ To: '"Rivera, Alex" <alex@example.com>' }));
    await client().sendEmail(mail({ Metadata: { notification_id: 'n-2' } }));
    const found = async () => client().getOutboundMessages({ metadata_notification_id: 'n-1', count: 10, offset: 0 });
    expect(await found()).toEqual({ TotalCount: 0, Messages: [] });
    clock.advance(3_000);
    expect(await found()).toEqual({
      TotalCount: 1,
      Messages: [
        {
          MessageID,
          MessageStream: 'outbound',
          Tag: '',
          To: [{ Email: 'alex@example.com', Name: 'Rivera, Alex' }],
          Cc: [],
          Bcc: [],
          Recipients: ['alex@example.com'],
          ReceivedAt: '2026-03-02T10:00:00.000Z',
          From: 'Ringleader <calls@example.com>',
          Subject: 'Campaign complete: Spring — 2 hot leads',
          Attachments: [],
          Status: 'Sent',
          TrackOpens: false,
          TrackLinks: 'None',
          Metadata: { notification_id: 'n-1' },
          Sandboxed: false,
        },
      ],
    });
    clock.advance(45 * 24 * 3_600_000);
    expect(await found()).toEqual({ TotalCount: 0, Messages: [] });
  });

  test('it pages, and wants count and offset', async () => {
    for (const Subject of ['one', 'two', 'three']) await client().sendEmail(mail({ Subject }));
    clock.advance(3_000);
    const { TotalCount, Messages } = await client().getOutboundMessages({ count: 1, offset: 1 });
    expect([TotalCount, Messages.map(({ Subject }) => Subject)]).toEqual([3, ['two']]);
    const token = { 'x-postmark-server-token': 't' };
    const bad = ['', 'count=1', 'count=501&offset=0', 'count=x&offset=0', 'count=1&offset=0&metadata_a=1&metadata_b=2'];
    const answers = bad.map(
      async (query) => (await ask(`${inbox.url}/messages/outbound?${query}`, 'GET', undefined, token)).status,
    );
    expect(await Promise.all(answers)).toEqual(bad.map(() => 422));
  });
});

describe('the pages', () => {
  test('a hostile mail is shown as text around a sandbox (class 35)', async () => {
    const evil = '<script>alert(1)</script>';
    const metadata = { notification_id: '"><i>' };
    const { MessageID } = await client().sendEmail(mail({ Subject: evil, HtmlBody: evil, TextBody: evil, Metadata: metadata }));
    for (const path of ['/', `/messages/${MessageID}`, `/messages/${MessageID}?view=text`]) {
      const page = await fetch(inbox.url + path);
      expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
      const text = await page.text();
      expect(text).toContain('&lt;script&gt;');
      expect(text).not.toContain('<script');
      expect(text).not.toContain('<i>');
    }
    const framed = await fetch(`${inbox.url}/messages/${MessageID}/html`);
    expect(framed.headers.get('content-security-policy')).toMatch(/^sandbox (?!.*allow-(scripts|same-origin))/);
    expect(await framed.text()).toContain(evil);
  });

  test('what is not there is 404', async () => {
    const { MessageID } = await client().sendEmail(mail());
    for (const path of ['/messages/nope', `/messages/${MessageID}/attachments/0`, `/messages/${MessageID}/nope`, '/nope']) {
      expect((await fetch(inbox.url + path)).status).toBe(404);
    }
  });
});
