/** Asks the deployed worker whether it runs with the same configuration as the one at hand. */
import { randomUUID } from 'node:crypto';
import { webhookKey } from '../../lib/auth.ts';
import type { Config } from '../../lib/env.ts';
import { type Asked, ask, field } from './ask.ts';
import { fail, type Line, ok, warn } from './line.ts';

const secretPut = (name: string): string => `npx wrangler secret put ${name} --env …, with the value that stands here`;
const told = ({ json, status, why }: Asked): string => {
  const message = field(json, 'error', 'message');
  return typeof message === 'string' ? `${status}: ${message}` : why || `answered ${status}`;
};

const checkHealth = async (url: string): Promise<Line> => {
  const about = 'worker';
  const answer = await ask(`${url}/health`);
  if (answer.status === 200 && field(answer.json, 'status') === 'ok') return ok(about, 'answers at PUBLIC_URL');
  if (field(answer.json, 'error', 'code') === 'misconfigured')
    return fail(
      about,
      `is deployed with a wrong configuration: ${told(answer)}`,
      'npx wrangler secret put NAME --env … for the name it says',
    );
  const remedy =
    'npm run deploy -- --env …; PUBLIC_URL must be the address that it prints (before the first deploy: --before-deploy)';
  return fail(about, `does not answer at PUBLIC_URL: ${answer.status === 200 ? 'something else does' : told(answer)}`, remedy);
};

const checkStatus = async ({ publicUrl, adminKey }: Config): Promise<Line[]> => {
  const answer = await ask(`${publicUrl}/v1/status`, { headers: { authorization: `Bearer ${adminKey}` } });
  if (answer.status === 401) return [fail('worker ADMIN_KEY', 'is not the one that stands here', secretPut('ADMIN_KEY'))];
  if (answer.status !== 200)
    return [fail('worker and database', `the worker cannot use its database: ${told(answer)}`, secretPut('DATABASE_URL'))];
  return [
    ok('worker and database', 'the worker reaches its database'),
    field(answer.json, 'summary_mails') === 'on'
      ? ok('worker mails', 'summary mails are on')
      : warn('worker mails', 'summary mails are off', 'EMAIL_CAMPAIGN_SUMMARY_ENABLED = "true" in wrangler.toml, then deploy'),
  ];
};

const post = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Asked> =>
  ask(url, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });

/** A webhook of a call that cannot exist: a key signed here gets as far as the body (400), a forged one nowhere (401). Neither asks the database. */
const checkWebhooks = async ({ publicUrl, secretsKey }: Config): Promise<Line[]> => {
  const about = 'provider webhooks';
  const at = `${publicUrl}/webhooks/bolna`;
  const forged = await post(`${at}/forged`, {});
  if (forged.status !== 401)
    return [
      fail(
        about,
        `a forged address is not refused: ${told(forged)}`,
        'whatever stands before the worker must let POST /webhooks/… through as it is',
      ),
    ];
  const signed = await post(`${at}/${await webhookKey(secretsKey, randomUUID(), randomUUID())}`, {});
  if (signed.status === 401) return [fail('worker SECRETS_KEY', 'is not the one that stands here', secretPut('SECRETS_KEY'))];
  return signed.status === 400
    ? [ok(about, 'signed addresses are let in, forged ones refused: https://…/webhooks/<provider>/<key>')]
    : [fail(about, `a signed address is not let in: ${told(signed)}`, 'npm run deploy -- --env …')];
};

const checkMailWebhook = async ({ publicUrl, postmarkWebhookSecret }: Config): Promise<Line[]> => {
  if (postmarkWebhookSecret === undefined) return [];
  const authorization = `Basic ${Buffer.from(`postmark:${postmarkWebhookSecret}`).toString('base64')}`;
  const answer = await post(`${publicUrl}/webhooks/mail/postmark`, { RecordType: 'Doctor' }, { authorization });
  if (answer.status === 200) return [ok('mail webhook', 'lets Postmark in with POSTMARK_WEBHOOK_SECRET')];
  return [fail('mail webhook', `does not let Postmark in: ${told(answer)}`, secretPut('POSTMARK_WEBHOOK_SECRET'))];
};

export const checkWorker = async (config: Config): Promise<Line[]> => {
  const health = await checkHealth(config.publicUrl);
  if (health.verdict === 'FAIL') return [health];
  return [health, ...(await checkStatus(config)), ...(await checkWebhooks(config)), ...(await checkMailWebhook(config))];
};
