import { buildC } from './build.js';
import { preloaded, startOffheap } from './offheap.js';
import { type Ended, Running } from './running.js';

/** test/targets/heap_holder.c, which allocates as it is told. */
export class HeapHolder {
  private constructor(
    readonly running: Running,
    readonly pid: number,
  ) {}

  static path(): string {
    return buildC('heap_holder');
  }

  /** Started by itself under the shim. */
  static alone(dir: string, env: Record<string, string> = {}): Promise<HeapHolder> {
    return HeapHolder.#of(new Running(HeapHolder.path(), [], { env: { ...preloaded(dir), ...env } }));
  }

  /** Started by `offheap run`. */
  static underRun(...options: string[]): Promise<HeapHolder> {
    return HeapHolder.#of(startOffheap(['run', ...options, '--', HeapHolder.path()]));
  }

  static async #of(running: Running): Promise<HeapHolder> {
    const [, pid] = await running.line(/^READY (\d+)$/);
    return new HeapHolder(running, Number(pid));
  }

  /** Resolves once it is done. */
  async tell(command: string): Promise<void> {
    this.running.write(`${command}\n`);
    await this.running.line(/^done /);
  }

  /** Forks; resolves with the child's process id. */
  async fork(count: number, bytes: number): Promise<number> {
    this.running.write(`fork ${count} ${bytes}\n`);
    const [, pid] = await this.running.line(/^child (\d+)$/);
    return Number(pid);
  }

  async exec(): Promise<void> {
    this.running.write('exec\n');
    await this.running.line(/^READY/);
  }

  leave(status = 0): Promise<Ended> {
    return this.running.end(`exit ${status}\n`);
  }
}
