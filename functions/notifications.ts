/** Notifications: the mails owed to an account, each with its status and the reason for it. */
import { Notification, page } from '../lib/contract.ts';
import { sweepSoon } from '../lib/summarise.ts';
import { found, paged } from './respond.ts';
import { accountOf, ById, PageQuery, route, type Route } from './route.ts';

const tag = 'Notifications';

export const notificationRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/notifications',
    tag,
    summary: 'Every mail, the latest first',
    auth: 'account',
    query: PageQuery,
    responses: { 200: page(Notification) },
    handler: (call) =>
      paged(call.query, (after, limit) => call.deps.verbs.listNotifications(accountOf(call), call.deps.now(), after, limit)),
  }),
  route({
    method: 'POST',
    path: '/v1/notifications/:id/send',
    tag,
    summary: 'Send a failed, skipped or unknown mail again',
    auth: 'account',
    params: ById,
    responses: { 202: Notification },
    refusals: [409],
    async handler(call) {
      const { deps, params } = call;
      const notification = found(await deps.verbs.requestSend(accountOf(call), deps.now(), params.id));
      sweepSoon(deps);
      return { status: 202, body: notification };
    },
  }),
];
