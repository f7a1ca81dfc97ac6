import { Stopped, type ProgressPart, type Reporter } from '../../trainer-image/stages/context.ts';

/** What a run told, and a reporter that stops it from its `stopAt`th beat on (counted from 1). */
export interface Heard extends Reporter {
  beats: ProgressPart[];
  warnings: [reason: string, message: string][];
  infos: string[];
}

export function listen(stopAt = Infinity): Heard {
  const heed = (): void => {
    if (heard.beats.length >= stopAt) throw new Stopped('stopped on request');
  };
  const heard: Heard = {
    beats: [],
    warnings: [],
    infos: [],
    beat: (part = {}) => {
      heard.beats.push(part);
      heed();
    },
    heed,
    observe: () => {},
    warn: (reason, message) => void heard.warnings.push([reason, message]),
    info: (message) => void heard.infos.push(message),
  };
  return heard;
}
