/** Which providers there are. A new one is its file, its fixtures, its name in `contract.ts`, its host in `env.ts` and a line here. */
import type { Config } from '../env.ts';
import { bolna } from './bolna.ts';
import { elevenlabs } from './elevenlabs.ts';
import type { Providers } from './provider.ts';
import { retell } from './retell.ts';
import { twilio } from './twilio.ts';
import { vapi } from './vapi.ts';

export const createProviders = ({ providerBaseUrls: at }: Pick<Config, 'providerBaseUrls'>): Providers => ({
  bolna: bolna(at.bolna),
  vapi: vapi(at.vapi),
  retell: retell(at.retell),
  twilio: twilio(at.twilio),
  elevenlabs: elevenlabs(at.elevenlabs),
});
