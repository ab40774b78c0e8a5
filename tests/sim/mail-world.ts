/** The mail provider: what it accepted, and what may go wrong with it. */
import type { Mail, Mailer } from '../../lib/mail.ts';
import { SECOND, type Invocation, type Kernel } from './kernel.ts';

export interface Accepted {
  notification: string;
  at: number;
  mail: Mail;
}

const INDEXED_AFTER = 30 * SECOND;

export class MailWorld {
  readonly accepted: Accepted[] = [];
  /** Told of every mail that the provider takes. */
  onMail: (accepted: Accepted) => void = () => undefined;
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** The mail provider as one invocation sees it. */
  mailer(invocation: Invocation): Mailer {
    const kernel = this.#kernel;
    const { random } = kernel;
    const request = async <T>(arrive: () => T): Promise<T> => {
      invocation.subrequests += 1;
      invocation.connections += 1;
      invocation.mostConnections = Math.max(invocation.mostConnections, invocation.connections);
      const value = await kernel.park(invocation, random.between(30, 500), arrive);
      await kernel.park(invocation, random.between(20, 1000), () => undefined);
      invocation.connections -= 1;
      return value;
    };
    const take = (mail: Mail): string => {
      const accepted = { notification: mail.metadata['notification_id'] ?? '', at: kernel.now, mail };
      this.accepted.push(accepted);
      kernel.trace('mails', 'accepted', `${mail.metadata['type']} ${accepted.notification} ${mail.subject}`);
      this.onMail(accepted);
      return `m-${this.accepted.length}`;
    };
    return {
      async send(mail) {
        if (kernel.strikes('mail_inactive', invocation))
          return request(() => ({ outcome: 'refused', reason: 'inactive recipient' }) as const);
        if (kernel.strikes('mail_5xx', invocation)) return request(() => ({ outcome: 'later', reason: 'answered 500' }) as const);
        if (kernel.strikes('mail_timeout_before', invocation)) {
          return request(() => ({ outcome: 'unknown', reason: 'no answer' }) as const);
        }
        const lost = kernel.strikes('mail_timeout_after', invocation);
        const messageId = await request(() => take(mail));
        return lost ? { outcome: 'unknown', reason: 'no answer' } : { outcome: 'sent', messageId };
      },
      find: (id) =>
        request(() => {
          const at = this.accepted.findIndex((one) => one.notification === id && one.at + INDEXED_AFTER < kernel.now);
          return at < 0 ? null : { messageId: `m-${at + 1}` };
        }),
    };
  }
}
