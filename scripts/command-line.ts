/** What the commands of a deployment have in common: their options, their env file, and how they say that they were misused. */
import fs from 'node:fs';
import { parseArgs, parseEnv, type ParseArgsConfig, type ParseArgsOptionsConfig } from 'node:util';

/** One line about what is wrong, one about how it is written; exit code 2. */
export type Misused = (line: string) => never;

export const misusedBy =
  (command: string, usage: string): Misused =>
  (line) => {
    console.error(`${command}: ${line}\nusage: ${usage}`);
    process.exit(2);
  };

type Parsed<T extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: T; strict: true; allowPositionals: true } & ParseArgsConfig>
>;

/** The options as given; anything else ends the command. Positionals are taken only where they mean something. */
export const optionsOf = <T extends ParseArgsOptionsConfig>(
  options: T,
  misused: Misused,
  allowPositionals = false,
): Parsed<T> => {
  try {
    return parseArgs({ options, strict: true, allowPositionals });
  } catch (error) {
    return misused((error as Error).message.split(/\n|\. /, 1).join(''));
  }
};

/** The variables in an env file, as they stand there. */
export const readEnvFile = (file: string, misused: Misused): Record<string, string | undefined> => {
  try {
    return parseEnv(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    return misused(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'malformed'})`);
  }
};
