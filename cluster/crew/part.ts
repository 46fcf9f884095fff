/**
 * Of what a node may do, what one of its engines may: its limits are dealt out, so that all together keep to them.
 * Only a limit below their number is exceeded: each may do one thing at a time.
 */
import type { EngineSettings } from "../../src/engine/services.js";

/** The settings of engine number `engine` of `engines`. Only the first removes what is finished. */
export function partOf(settings: EngineSettings, engine: number, engines: number): EngineSettings {
  const part = (limit: number) => Math.max(1, Math.floor(limit / engines) + (engine < limit % engines ? 1 : 0));
  const { dispatch, flush } = settings;
  return {
    ...settings,
    flush: { ...flush, lingerMs: flush.lingerMs * engines * 2 }, // which engine's flush comes next is chance
    residentMax: part(settings.residentMax),
    residentBytesMax: part(settings.residentBytesMax),
    activeMax: part(settings.activeMax),
    queuedBytesMax: part(settings.queuedBytesMax),
    dispatch: {
      ...dispatch,
      perOrigin: part(dispatch.perOrigin),
      perNode: part(dispatch.perNode),
      waitingPerTarget: part(dispatch.waitingPerTarget),
    },
    retention: engine === 0 ? settings.retention : undefined,
  };
}
