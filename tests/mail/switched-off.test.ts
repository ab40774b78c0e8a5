import { expect, test, vi } from 'vitest';
import { createWorker } from '../../functions/worker.ts';

const ENV = {
  DATABASE_URL: 'postgres://ringleader_app:x@127.0.0.1:1/none',
  ADMIN_KEY: 'admin-key-of-the-test',
  PUBLIC_URL: 'https://r.example',
  SECRETS_KEY: Buffer.alloc(32, 3).toString('base64'),
  POSTMARK_SERVER_TOKEN: 'token',
  MAIL_FROM: 'mail@ringleader.example',
};

/** What a new isolate says in its first three requests. */
const said = async (env: Record<string, string>): Promise<string[]> => {
  const lines: string[] = [];
  const spy = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  const worker = createWorker({ now: () => new Date(), sleep: () => Promise.resolve(), allowLoopbackHttp: true });
  for (let i = 0; i < 3; i += 1) {
    const answer = await worker.fetch(new Request('https://r.example/health'), env, { waitUntil: () => undefined });
    expect(answer.status).toBe(200);
  }
  spy.mockRestore();
  return lines.filter((line) => line.includes('summary mails are off'));
};

test('summary mails that are off are said once, in one clear line, at the start (class 38)', async () => {
  const values = [{}, { EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'false' }, { EMAIL_CAMPAIGN_SUMMARY_ENABLED: '1' }];
  for (const off of values) {
    const lines = await said({ ...ENV, ...off });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'warning',
      event: expect.stringContaining('EMAIL_CAMPAIGN_SUMMARY_ENABLED'),
    });
  }
  expect(values).toHaveLength(3);
  expect(await said({ ...ENV, EMAIL_CAMPAIGN_SUMMARY_ENABLED: 'true' })).toEqual([]);
});
