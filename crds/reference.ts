import { z } from 'zod';
import { claimSource } from './sources.ts';

/** What jobs may share. */
export const cacheSchema = z
  .object({
    source: claimSource.describe(
      'Folder that jobs share, pvc://claim/path: fetched models and data, and the log-probabilities of references, so that later jobs need not compute them again. Its claim is mounted writable; the folder may be removed at any time',
    ),
  })
  .optional()
  .describe(
    "By default fetched sources are kept in .dpo/cache on the output's claim, and the reference beside the checkpoints",
  );
