/**
 * In a process that simulates (`node --import`), the two modules that fill the seam are the simulator's: `lib/db.ts`, which opens
 * connections, and `lib/compose.ts`. Everything above them, from the routes to the use cases, is the worker's own.
 */
import { registerHooks } from 'node:module';

const at = (path: string): string => new URL(path, import.meta.url).href;
const DOUBLES: ReadonlyMap<string, string> = new Map([
  [at('../../../lib/compose.ts'), at('compose.ts')],
  [at('../../../lib/db.ts'), at('db.ts')],
]);

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const double = DOUBLES.get(found.url);
    return double === undefined ? found : { ...found, url: double };
  },
});
