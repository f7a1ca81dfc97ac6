import { createLogger, format, transports, type Logger } from 'winston';
import type { OperatorConfig } from './config.ts';

/** One JSON object per line on standard output. */
export function makeLog(level: OperatorConfig['logLevel']): Logger {
  return createLogger({
    level,
    format: format.combine(format.timestamp(), format.json()),
    transports: [new transports.Console()],
  });
}
