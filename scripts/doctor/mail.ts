/** Asks Postmark whether the token, the sender and the webhook are right. */
import type { Config } from '../../lib/env.ts';
import { createMailer } from '../../lib/mail.ts';
import { ask, field } from './ask.ts';
import { fail, type Line, ok, warn } from './line.ts';
import { howToGet } from './variables.ts';

/** Postmark accepts and drops what is sent there: https://postmarkapp.com/developer/user-guide/send-email-with-api/send-a-single-email */
export const BLACK_HOLE = 'test@blackhole.postmarkapp.com';

type MailConfig = Pick<Config, 'postmarkServerToken' | 'postmarkBaseUrl' | 'mailFrom' | 'publicUrl' | 'postmarkWebhookSecret'>;

const headers = (config: MailConfig): Record<string, string> => ({
  accept: 'application/json',
  'x-postmark-server-token': config.postmarkServerToken,
});

const checkToken = async (config: MailConfig): Promise<Line> => {
  const about = 'Postmark token';
  const { status, json, why } = await ask(`${config.postmarkBaseUrl}/server`, { headers: headers(config) });
  if (status === 401) return fail(about, 'is not accepted', howToGet('POSTMARK_SERVER_TOKEN'));
  if (status !== 200)
    return fail(
      about,
      `could not be tried: ${why || `answered ${status}`}`,
      'try again; status.postmarkapp.com says whether Postmark is up',
    );
  if (field(json, 'DeliveryType') === 'Sandbox')
    return fail(about, 'belongs to a sandbox server, which delivers nothing', 'take the token of a live server');
  return ok(about, `is accepted, server ${JSON.stringify(field(json, 'Name') ?? 'without a name')}`);
};

/** One mail to the black hole: only sending tells whether Postmark accepts the sender. */
const checkSender = async (config: MailConfig): Promise<Line> => {
  const about = 'Postmark sender';
  const result = await createMailer(config).send({
    to: BLACK_HOLE,
    subject: 'Ringleader: configuration check',
    html: '<p>This mail is dropped by Postmark.</p>',
    text: 'This mail is dropped by Postmark.',
    attachments: [],
    metadata: { type: 'doctor' },
  });
  if (result.outcome === 'sent') return ok(about, 'MAIL_FROM may send (one mail went into Postmark’s black hole)');
  if (result.outcome === 'refused')
    return fail(about, result.reason, `confirm the domain in Postmark, Sender Signatures; MAIL_FROM is ${howToGet('MAIL_FROM')}`);
  return warn(about, `could not be tried: ${result.reason}`, 'try again');
};

interface Webhook {
  Url?: string;
  Triggers?: { Bounce?: { Enabled?: boolean }; SpamComplaint?: { Enabled?: boolean } };
}

/** Whether bounces and complaints come back to us. */
const checkWebhook = async (config: MailConfig): Promise<Line[]> => {
  if (config.postmarkWebhookSecret === undefined) return []; // its own line says what that means
  const about = 'Postmark webhook';
  const url = `${config.publicUrl}/webhooks/mail/postmark`;
  const { status, json, why } = await ask(`${config.postmarkBaseUrl}/webhooks`, { headers: headers(config) });
  if (status !== 200) return [warn(about, `could not be looked up: ${why || `answered ${status}`}`, 'try again')];
  const list = field(json, 'Webhooks');
  const ours = (Array.isArray(list) ? (list as Webhook[]) : []).find((hook) => hook.Url?.replace(/\/\/[^/@]*@/, '//') === url);
  const set = `Postmark, your server, stream Outbound, Webhooks: ${url} with Bounce and Spam Complaint, and as HTTP authentication any user with POSTMARK_WEBHOOK_SECRET as password`;
  if (!ours) return [warn(about, 'does not point at this worker', set)];
  const { Bounce, SpamComplaint } = ours.Triggers ?? {};
  if (!Bounce?.Enabled || !SpamComplaint?.Enabled) return [warn(about, 'tells of no bounces or no complaints', set)];
  return [ok(about, 'tells this worker of bounces and complaints')];
};

export const checkMail = async (config: MailConfig, sendsOne: boolean): Promise<Line[]> => {
  const token = await checkToken(config);
  if (token.verdict === 'FAIL') return [token];
  const sender = sendsOne
    ? await checkSender(config)
    : warn('Postmark sender', 'was not tried', 'leave --no-test-mail out: one mail goes into Postmark’s black hole');
  return [token, sender, ...(await checkWebhook(config))];
};
