import { readFileSync } from 'node:fs';

const PASSED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/**
 * Passes signals on to the command, also those that come before it runs. What the terminal sends reaches the command
 * by itself: both are in the terminal's foreground group, and twice would be one too many.
 */
export class PassedSignals {
  private kill: ((signal: NodeJS.Signals) => void) | undefined;
  private early: NodeJS.Signals[] = [];

  constructor() {
    for (const signal of PASSED) process.on(signal, this.pass);
  }

  to(kill: (signal: NodeJS.Signals) => void): void {
    this.kill = kill;
    for (const signal of this.early.splice(0)) kill(signal);
  }

  stop(): void {
    for (const signal of PASSED) process.off(signal, this.pass);
  }

  private readonly pass = (signal: NodeJS.Signals): void => {
    if (signal !== 'SIGTERM' && isForeground()) return;
    if (this.kill === undefined) this.early.push(signal);
    else this.kill(signal);
  };
}

/** Whether this process is in the foreground group of a terminal. */
function isForeground(): boolean {
  try {
    // After "pid (name)", and the name may hold anything: state, ppid, pgrp, session, tty_nr, tpgid.
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[2] === fields[5];
  } catch {
    return false;
  }
}
