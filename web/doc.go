// Package web speaks HTTP for package gatehouse: the JSON operations, the pages,
// the cookies, and the middleware that keeps an application's own handlers for
// those who are logged in. It decides nothing about users.
//
// A request passes the same doors in the same order, whatever it asks for:
//
//	guard    reference, headers of safety, panic, framing, cross-origin
//	route    path and method; who may call it
//	decode   content type, size, strict JSON or form
//	gatehouse decides
//	reply    JSON, or a redirect for a form;   fail: JSON, or the page again
//
// Each operation exists once. The body it came in decides in which form it is
// answered: JSON gets JSON, a form gets a redirect (303) or its page again with
// the message beside the field.
package web
