// Package browser holds the pages to what they promise, in a real browser: the
// tests build the command, start it on a database file, and drive Chromium as a
// person would, with JavaScript and without.
//
// They need Chromium (CHROMIUM names it where it is not found) and npm, which
// installs the accessibility rules of axe-core as the lock file pins them.
// With SCREENSHOTS=DIR every page is also photographed in every state.
package browser
