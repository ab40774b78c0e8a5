/** Which mails an account gets, as a person switches them: on the page of mails, and behind the signed link of a mail. */
import { html } from 'hono/html';
import * as z from 'zod';
import { type Preferences } from '../../lib/contract.ts';
import { NOTIFICATION_TYPES, type NotificationType } from '../../lib/domain/vocabulary.ts';
import type { Html } from './words.ts';

/** What each type of mail is called, and when it comes. */
export const MAILS: Readonly<Record<NotificationType, { name: string; when: string }>> = {
  campaign_summary: { name: 'Campaign summaries', when: 'When a campaign is complete, with its hot leads.' },
  hot_lead: { name: 'Hot leads', when: 'While a campaign runs: the first at once, then every 15 minutes at most.' },
  campaign_paused: { name: 'Paused campaigns', when: 'When the system pauses a campaign, with the calls that failed.' },
  nothing_dialled: { name: 'Silent campaigns', when: 'When nothing was dialled for a day though leads wait.' },
};

/** What a switch sends: the type of mail, and whether it is to be on. */
export const Switch = z.object({ type: z.enum(NOTIFICATION_TYPES), on: z.enum(['true', 'false']) });

/**
 * A switch for each type. `action` is where they are sent; `first` stands on top. A type that the configuration switches off says so, and
 * its switch is left alone.
 */
export const switches = (
  preferences: z.infer<typeof Preferences>,
  action: string,
  configuredOff: readonly string[],
  first?: NotificationType,
): Html => {
  const types = [...NOTIFICATION_TYPES].sort((a, b) => Number(b === first) - Number(a === first));
  return html`<ul class="switches">
    ${types.map((type) => {
      const on = preferences[`${type}_emails`];
      const { name, when } = MAILS[type];
      const goesOut = on && !configuredOff.includes(type);
      return html`<li id="mail-${type}">
        <div>
          <b>${name}</b> <span class="pill ${goesOut ? 'on' : ''}">${goesOut ? 'On' : 'Off'}</span>
          <p class="hint">
            ${when}${configuredOff.includes(type) && ' The deployment has switched them off (EMAIL_CAMPAIGN_SUMMARY_ENABLED).'}
          </p>
        </div>
        <form method="post" action="${action}">
          <input type="hidden" name="type" value="${type}" />
          <input type="hidden" name="on" value="${on ? 'false' : 'true'}" />
          <button aria-label="${on ? 'Switch off' : 'Switch on'}: ${name}">${on ? 'Switch off' : 'Switch on'}</button>
        </form>
      </li>`;
    })}
  </ul>`;
};
