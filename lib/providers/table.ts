/** Which providers there are. A new one is its file, its fixtures and a line here. */
import { bolna } from './bolna.ts';
import { elevenlabs } from './elevenlabs.ts';
import type { Provider } from './provider.ts';
import { retell } from './retell.ts';
import { twilio } from './twilio.ts';
import { vapi } from './vapi.ts';

/** By name: the real host, and the adapter for a host. */
const TABLE = {
  bolna: { host: 'https://api.bolna.ai', at: bolna },
  vapi: { host: 'https://api.vapi.ai', at: vapi },
  retell: { host: 'https://api.retellai.com', at: retell },
  twilio: { host: 'https://api.twilio.com', at: twilio },
  elevenlabs: { host: 'https://api.elevenlabs.io', at: elevenlabs },
} satisfies Record<string, { host: string; at: (baseUrl: string) => Provider }>;

export type ProviderName = keyof typeof TABLE;
export const PROVIDERS = Object.keys(TABLE) as ProviderName[];

/** Something of each provider, by name. */
const each = <T>(make: (name: ProviderName) => T): Record<ProviderName, T> =>
  Object.fromEntries(PROVIDERS.map((name) => [name, make(name)])) as Record<ProviderName, T>;

export type BaseUrls = Readonly<Record<ProviderName, string>>;
/** Where each provider is: what `given` says, else its real host. */
export const baseUrls = (given: (name: ProviderName) => string | undefined): BaseUrls =>
  each((name) => given(name) ?? TABLE[name].host);

export type Providers = Readonly<Record<ProviderName, Provider>>;
/** Every provider's adapter, each at its base URL. */
export const createProviders = ({ providerBaseUrls: at }: { providerBaseUrls: BaseUrls }): Providers =>
  each((name) => TABLE[name].at(at[name]));
