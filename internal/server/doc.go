// Package server turns settings into a running Gatehouse.
//
// Everything that can be set is a field of [Settings], once: its tags are the
// flag, the environment variable, the key of the YAML file, the help, the
// reference in docs/settings.md and the bounds. [Load] reads them from
//
//	flags  >  environment  >  .env  >  YAML file  >  names of other programs  >  defaults
//
// and refuses what it does not understand, all of it at once and each with the
// place where it stands. [Open] makes the data folder and the secret, opens the
// store and the core; [Run] puts the web in front of them, answers until it is
// told to stop, and then lets what it has accepted finish.
package server
