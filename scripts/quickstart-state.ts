import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What quickstart remembers of the cluster that it left running. */
export interface QuickstartState {
  /** Of the process that holds the cluster. */
  pid: number;
  /** Command that enters the cluster's network and files. */
  enter: string[];
  kubeconfig: string;
}

const folder = join(process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator'), 'quickstart');
export const stateFile = join(folder, 'state.json');
export const logFile = join(folder, 'cluster.log');

/** The running cluster, or undefined. */
export function findState(): QuickstartState | undefined {
  if (!existsSync(stateFile)) return undefined;
  const state = JSON.parse(readFileSync(stateFile, 'utf8')) as QuickstartState;
  return existsSync(`/proc/${state.pid}`) ? state : undefined;
}
