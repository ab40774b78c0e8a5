/** The mailer against a real HTTP server on the wire, and against the inbox that `npm start` uses. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClock } from '../../local/clock.ts';
import type { Edge } from '../../local/edge-server.ts';
import { startInbox } from '../../local/inbox.ts';
import { createMailer, type Mail, type MailResult } from '../../lib/mail.ts';

interface Wire {
  url: string;
  requests: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[];
  stop(): Promise<void>;
}
const wire = async (answer: (response: ServerResponse, request: IncomingMessage) => void): Promise<Wire> => {
  const requests: Wire['requests'] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
      answer(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
const mailer = (postmarkBaseUrl: string, timeout?: number) =>
  createMailer({ postmarkServerToken: 'token-1', mailFrom: 'Ringleader <mail@ringleader.example>', postmarkBaseUrl }, timeout);
const mail = (changes: Partial<Mail> = {}): Mail => ({
  to: 'owner@example.com',
  subject: 'Campaign complete: Spring — 1 hot lead',
  html: '<p>hello</p>',
  text: 'hello',
  attachments: [{ name: 'Spring_hot_leads.csv', contentType: 'text/csv', base64: 'bmFtZQ0K' }],
  metadata: { notification_id: 'n-1', campaign_id: 'c-1', type: 'campaign_summary' },
  unsubscribeUrl: 'https://ringleader.example/links/x',
  ...changes,
});
const says =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const coded = (status: number, code: number) =>
  says(status, { ErrorCode: code, Message: 'Found inactive addresses: owner@example.com.' });

const failures: [what: string, answer: (response: ServerResponse) => void, outcome: MailResult['outcome'], reason: RegExp][] = [
  ['inactive recipient', coded(422, 406), 'refused', /recipient is inactive.*code 406/],
  ['invalid request', coded(422, 300), 'refused', /invalid.*code 300/],
  ['unknown sender', coded(422, 400), 'refused', /MAIL_FROM/],
  ['account pending', coded(422, 412), 'refused', /pending approval/],
  ['a code of its own', coded(422, 9999), 'refused', /422, code 9999/],
  ['bad token', coded(401, 10), 'refused', /POSTMARK_SERVER_TOKEN/],
  ['too large', coded(413, 300), 'refused', /413/],
  ['not found', says(404, '<html>no</html>'), 'refused', /404/],
  ['a redirect', says(307, '', { location: '/elsewhere' }), 'refused', /307/],
  ['rate limit', coded(429, 429), 'later', /429/],
  ['server error', coded(500, 0), 'later', /500/],
  ['server error in HTML', says(500, '<html>oops</html>'), 'later', /500/],
  ['maintenance', coded(503, 100), 'later', /503/],
  ['a gateway without an upstream', says(502, '<html>bad gateway</html>'), 'unknown', /gateway answered 502/],
  ['a gateway that timed out', says(504, ''), 'unknown', /gateway answered 504/],
  ['a request time-out', says(408, ''), 'unknown', /408/],
  ['200 with HTML', says(200, '<html>sign in</html>'), 'unknown', /without a message id/],
  ['200 with nothing', says(200, ''), 'unknown', /without a message id/],
  ['200 with null', says(200, 'null'), 'unknown', /without a message id/],
  ['200 without a message id', says(200, { ErrorCode: 0, Message: 'OK' }), 'unknown', /without a message id/],
  ['200 with an error code', says(200, { ErrorCode: 406, MessageID: 'm' }), 'unknown', /without a message id/],
  ['a reset before the answer', (response) => void response.socket?.resetAndDestroy(), 'unknown', /lost/],
  [
    'an answer cut short',
    (response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"MessageID":');
      setImmediate(() => response.socket?.resetAndDestroy());
    },
    'unknown',
    /lost/,
  ],
  ['no answer', () => undefined, 'unknown', /lost/],
  ['a hang after the headers', (response) => void response.writeHead(200).write('{'), 'unknown', /lost/],
];

test('every answer of the mail provider is refused, later or unknown, asked once, and no reason repeats an address (class 34)', async () => {
  for (const [what, answer, outcome, reason] of failures) {
    const server = await wire(answer);
    const result = await mailer(server.url, 0.5).send(mail());
    expect(result, what).toMatchObject({ outcome, reason: expect.stringMatching(reason) });
    expect(JSON.stringify(result), what).not.toContain('@');
    expect(server.requests, what).toHaveLength(1);
    await server.stop();
  }
  expect(failures).toHaveLength(25);
});

test('a host that cannot be reached is an unknown outcome, not an exception', async () => {
  const server = await wire(says(200, {}));
  await server.stop();
  expect(await mailer(server.url).send(mail())).toMatchObject({ outcome: 'unknown' });
});

test('the mail goes out once with token, sender, metadata and attachment, under the path of the base URL', async () => {
  const server = await wire(says(200, { ErrorCode: 0, MessageID: 'm-1', Message: 'OK' }));
  expect(await mailer(`${server.url}/gate/`).send(mail())).toEqual({ outcome: 'sent', messageId: 'm-1' });
  expect(server.requests).toHaveLength(1);
  const [request] = server.requests;
  expect(request).toMatchObject({ method: 'POST', url: '/gate/email' });
  expect(request?.headers['x-postmark-server-token']).toBe('token-1');
  expect(JSON.parse(request?.body ?? '')).toMatchObject({
    From: 'Ringleader <mail@ringleader.example>',
    To: 'owner@example.com',
    Subject: 'Campaign complete: Spring — 1 hot lead',
    HtmlBody: '<p>hello</p>',
    TextBody: 'hello',
    TrackOpens: false,
    TrackLinks: 'None',
    MessageStream: 'outbound',
    Headers: [
      { Name: 'List-Unsubscribe', Value: '<https://ringleader.example/links/x>' },
      { Name: 'List-Unsubscribe-Post', Value: 'List-Unsubscribe=One-Click' },
    ],
    Metadata: { notification_id: 'n-1', campaign_id: 'c-1', type: 'campaign_summary' },
    Attachments: [{ Name: 'Spring_hot_leads.csv', ContentType: 'text/csv', Content: 'bmFtZQ0K' }],
  });
  await server.stop();
});

test('a control character ends no header, and nobody but one plain address is written to (class 35)', async () => {
  const server = await wire(says(200, { ErrorCode: 0, MessageID: 'm-1' }));
  await mailer(server.url).send(mail({ subject: 'a\r\nBcc: thief@example.com\u0000\u0085b' }));
  expect(JSON.parse(server.requests[0]?.body ?? '')).toMatchObject({ Subject: 'a Bcc: thief@example.com b' });
  const addresses = ['', 'nobody', 'a@b.c, d@e.f', 'a@b.c;d@e.f', 'A <a@b.c>', 'a@b.c\r\nBcc: d@e.f', 'a b@c.d', '"x"@b.c'];
  for (const to of addresses) {
    expect(await mailer(server.url).send(mail({ to })), to).toMatchObject({ outcome: 'refused' });
  }
  expect(addresses).toHaveLength(8);
  expect(server.requests).toHaveLength(1);
  await server.stop();
});

test('a search that is no answer throws, one that answers with another mail finds nothing', async () => {
  const table: [answer: (response: ServerResponse) => void, expected: string | null][] = [
    [says(200, { TotalCount: 0, Messages: [] }), null],
    [says(200, { TotalCount: 1, Messages: [{ MessageID: 'm-9', Metadata: { notification_id: 'n-2' } }] }), null],
    [says(200, { TotalCount: 1, Messages: [{ MessageID: 'm-9' }] }), null],
    [says(200, { TotalCount: 1, Messages: [{ MessageID: 'm-1', Metadata: { notification_id: 'n-1' } }] }), 'm-1'],
    [says(200, '<html>sign in</html>'), 'throws'],
    [coded(429, 429), 'throws'],
    [(response) => void response.socket?.resetAndDestroy(), 'throws'],
  ];
  for (const [answer, expected] of table) {
    const server = await wire(answer);
    const found = mailer(server.url, 1).find('n-1');
    if (expected === 'throws') await expect(found).rejects.toThrow(/mail provider/);
    else expect((await found)?.messageId ?? null).toBe(expected);
    expect(server.requests[0]?.url).toContain('metadata_notification_id=n-1');
    await server.stop();
  }
  expect(table).toHaveLength(7);
});

// ---------------------------------------------------------------- against the inbox

let inbox: Edge;
beforeAll(async () => {
  const now = Date.now();
  inbox = await startInbox({ clock: createClock({ realStart: now, virtualStart: now, speed: 1000 }) });
});
afterAll(() => inbox.stop());

test('every recipient of the inbox ends as its row says', async () => {
  const table: [to: string, outcomes: MailResult['outcome'][], arrives: boolean][] = [
    ['owner@example.com', ['sent'], true],
    ['inactive@example.com', ['refused'], false],
    ['limit@example.com', ['later', 'later', 'sent'], true],
    ['down@example.com', ['later', 'later', 'sent'], true],
    ['lost@example.com', ['unknown'], true],
    ['drop@example.com', ['unknown'], false],
    ['html@example.com', ['unknown'], false],
  ];
  const client = mailer(inbox.url, 0.5);
  for (const [to, outcomes, arrives] of table) {
    const id = `table-${to.split('@')[0] ?? ''}`;
    for (const [i, outcome] of outcomes.entries()) {
      const result = await client.send(mail({ to, metadata: { notification_id: id, type: 'campaign_summary' } }));
      expect(result, `${to}, attempt ${i + 1}`).toMatchObject({ outcome });
    }
    // The index lags behind the mail; what never arrived is not there, however long one waits.
    if (arrives) await expect.poll(() => client.find(id), { timeout: 30_000 }).toMatchObject({ messageId: expect.any(String) });
    else expect(await client.find(id), to).toBeNull();
  }
  expect(table).toHaveLength(7);
  const messages = (await (await fetch(`${inbox.url}/messages`)).json()) as { To: string }[];
  expect(messages.map(({ To }) => To).sort()).toEqual(
    table
      .filter(([, , arrives]) => arrives)
      .map(([to]) => to)
      .sort(),
  );
});
