import { createLogger, format, transports, type Logger } from 'winston';
import { printable } from '../crds/printable.ts';
import type { OperatorConfig } from './config.ts';

const plain = (_key: string, value: unknown): unknown => (typeof value === 'string' ? printable(value) : value);

/** One JSON object per line; JSON by itself lets through what terminals of 8 bits obey. */
export const lineFormat = format.combine(format.timestamp(), format.json({ replacer: plain }));

/** Writes to standard output. */
export function makeLog(level: OperatorConfig['logLevel']): Logger {
  return createLogger({ level, format: lineFormat, transports: [new transports.Console()] });
}
