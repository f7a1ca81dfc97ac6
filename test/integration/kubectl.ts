import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from '../cluster/control-plane.ts';
import { untilKnown } from '../cluster/known.ts';

/** kubectl on a control plane, as admin. */
export class Kubectl {
  readonly #plane: Pick<ControlPlane, 'kubectl'>;
  readonly #namespace: string;

  constructor(plane: Pick<ControlPlane, 'kubectl'>, namespace = 'default') {
    this.#plane = plane;
    this.#namespace = namespace;
  }

  /** An object or list as JSON, or undefined when it is not there. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- JSON of the API server: the caller knows its kind
  get<T>(...args: string[]): T | undefined {
    const { code, output } = this.#plane.kubectl(['-n', this.#namespace, 'get', ...args, '-o', 'json']);
    return code === 0 ? (JSON.parse(output) as T) : undefined;
  }

  /** What kubectl printed; throws when it failed. */
  run(args: string[], input?: unknown): string {
    const { code, output } = this.#plane.kubectl(
      ['-n', this.#namespace, ...args],
      input === undefined ? '' : JSON.stringify(input),
    );
    if (code !== 0) {
      throw new Error(`kubectl ${args.join(' ')}: ${output}`);
    }
    return output;
  }

  applyCrd(): void {
    this.run(['apply', '--server-side', '-f', 'crds/dpojob.yaml']);
    untilKnown(this.#plane, 'dpojobs');
  }
}

/** A control plane whose controllers know DPOJobs from their start. */
export const startWithCrd = (options: ControlPlaneOptions = {}): Promise<ControlPlane> =>
  startControlPlane({ ...options, prepare: (plane) => new Kubectl(plane).applyCrd() });
