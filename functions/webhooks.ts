/** POST /webhooks/:provider/:webhook_key — the telephony provider's callbacks. Answered 2xx only after commit. */
import { openWebhookKey } from '../lib/auth.ts';
import { compose, type Invocation } from '../lib/compose.ts';
import { withDb } from '../lib/db.ts';
import { reportAbout } from '../lib/deps.ts';
import { DbError, Misconfigured, Refusal } from '../lib/errors.ts';
import { follow } from '../lib/follow.ts';
import { PROVIDERS } from '../lib/providers/table.ts';
import { receiveWebhook, Unconfirmed } from '../lib/receive-webhook.ts';
import { readWebhook } from './input.ts';
import { errorBody, errorToResponse, internalError, unauthorized } from './respond.ts';

/**
 * The key in the address carries the account and the agent under a signature of ours, so a forged address costs no query.
 * A failure is 5xx, and the provider sends the event again.
 */
export const onWebhook = async (
  invocation: Invocation,
  request: Request,
  params: Readonly<Record<string, string>>,
): Promise<Response> => {
  let { report } = invocation;
  try {
    const owner = await openWebhookKey(invocation.config.secretsKey, params.webhook_key ?? '');
    const name = PROVIDERS.find((one) => one === params.provider);
    if (owner === null || name === undefined) throw unauthorized();
    report = reportAbout(report, { provider: name, account_id: owner.accountId, agent_id: owner.agentId });
    await invocation.wake();
    const received = { headers: request.headers, url: request.url, body: await readWebhook(request) };
    const own = { ...invocation, report };
    const applied = await withDb(own, async (db) => {
      const deps = compose(own, db);
      const result = await receiveWebhook(deps, { ...owner, provider: deps.providers[name], request: received });
      if (result !== null) follow(deps, result);
      return result;
    });
    return Response.json({ received: true, fate: applied?.fate ?? 'ignored' });
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) invocation.ctx.waitUntil(invocation.webhookForged());
    // What the database threw has been reported where it happened.
    if (error instanceof Refusal || error instanceof DbError || error instanceof Misconfigured) {
      return errorToResponse(error, report);
    }
    report('webhook_processing_failed', error);
    if (!(error instanceof Unconfirmed)) return internalError();
    return Response.json(errorBody('unconfirmed', 'The event could not be confirmed yet; send it again.'), { status: 503 });
  }
};
