// Package ui is what people see of Gatehouse: the templates of the pages, their
// styles and script, and the catalogue of every word on them. All of it is
// embedded, and all words and templates can be replaced from a folder without
// compiling (see [Config]).
//
// The package knows no request and decides nothing: package web fills a [Page]
// and names the template, and [UI.Render] writes HTML. The HTML works without
// the script, and is made for a Content-Security-Policy of
//
//	default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';
//	form-action 'self'; base-uri 'none'; frame-ancestors 'none'
//
// so nothing in it is inline: no script, no style, no event handler, no data URL.
// It is written to WCAG 2.2 level AA.
//
// # Overriding
//
// A file templates/NAME.html in [Config.Overrides] takes the place of the
// built-in file of that name, or is a page of its own if there is none.
// layout.html (the frame of every page, "layout") and parts.html (what pages are
// made of: "field", "problem", "notice", …) are shared; every other file is a page
// and defines "title" and "main". A file messages/en.json holds the texts that
// differ: an object of ids and texts, in which {0}, {1} stand for what is filled in.
//
// In a template, dot is the [Page] with these methods beside its fields:
//
//	.Name              name, or else email address, of the user
//	.Is "login"        whether this page is that template
//	.NoticeText        the words of Notice, if there is one
//	.ErrorText         the words of Error
//	.Headline          the title that belongs to Status
//	.Input NAME LABEL AUTOCOMPLETE
//	                   what the part "field" needs to draw an input
//	.Summary FIELD…    what the part "problem" needs, or nothing without Error;
//	                   the fields are those that the page has
//	.Current           the session of Sessions that is this one, if it is there
//	.HasOthers         whether there are sessions beside that
//	.Moment TIME       a time in words: .Machine, .Absolute and, if Now is set, .Relative
//
// and these functions: t ID ARGS… is a text of the catalogue, asset NAME the path
// of a file of ours ("app.css", "app.js", "mark.svg").
package ui
