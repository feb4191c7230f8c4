package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// view is the dot of a template: the page, and what it needs to be shown.
type view struct {
	Page
	ui       *UI
	template string
}

// Name is how to call the user, or empty if there is none.
func (v *view) Name() string {
	if v.User == nil {
		return ""
	}
	if name := strings.TrimSpace(v.User.Name); name != "" {
		return name
	}
	return v.User.Email
}

// Is reports whether the page is of this template.
func (v *view) Is(template string) bool { return v.template == template }

// NoticeText is what has just been done, in words, or empty.
func (v *view) NoticeText() string { return v.ui.Message("notice." + v.Notice) }

// ErrorText is the refusal in words. Texts of the catalogue may use {0}, the
// fewest characters of a password.
func (v *view) ErrorText() string {
	if v.Error == nil {
		return ""
	}
	for _, id := range []string{"error." + v.Error.Code + "." + v.Error.Field, "error." + v.Error.Code} {
		if text, ok := v.ui.messages.text(id, v.PasswordMin); ok {
			return text
		}
	}
	return v.Error.Text
}

// Headline is the title of the page "error": what Status means.
func (v *view) Headline() string {
	if text, ok := v.ui.messages.text(fmt.Sprintf("errorpage.%d", v.Status)); ok {
		return text
	}
	return v.ui.Message("errorpage.other")
}

// What is an activity in words.
func (v *view) What(a Activity) string {
	ids := []string{"activity." + a.Kind + "." + a.Detail}
	if a.Refused {
		ids = append(ids, "activity."+a.Kind+".refused")
	}
	for _, id := range append(ids, "activity."+a.Kind) {
		if text, ok := v.ui.messages.text(id, a.Detail); ok {
			return text
		}
	}
	return a.Kind
}

// Current is the session that asks, or nil if it is not among Sessions.
func (v *view) Current() *Session {
	if i := slices.IndexFunc(v.Sessions, func(s Session) bool { return s.Current }); i >= 0 {
		return &v.Sessions[i]
	}
	return nil
}

// HasOthers reports whether there are sessions beside this one.
func (v *view) HasOthers() bool {
	return slices.ContainsFunc(v.Sessions, func(s Session) bool { return !s.Current })
}

// focus names the input with which to begin. After an error that is the input
// to blame; its description holds the message, so that a screen reader says
// both. The two pages with no other purpose than to log in begin at what is not
// filled in yet, unless there is a notice to be read first.
func (v *view) focus() string {
	switch {
	case v.Error != nil && v.Error.Field != "":
		return v.Error.Field
	case v.mistyped():
		return "password"
	case v.Error != nil || v.Notice != "":
		return ""
	case v.template == "login" && v.Values["email"] == "":
		return "email"
	case v.template == "login" || v.template == "reauthenticate":
		return "password"
	}
	return ""
}

// mistyped is the one refusal that blames no field (to say which would tell who
// is registered) and yet has one to type again.
func (v *view) mistyped() bool {
	return v.Error != nil && v.Error.Field == "" && v.Error.Code == "invalid_credentials" && (v.template == "login" || v.template == "reauthenticate")
}

// summary is an error at the head of a form.
type summary struct {
	Text  string
	Field string // the input to lead to, or empty
	Ref   string // only for what is our fault; elsewhere it is noise
	Focus bool   // nothing else of the page takes the focus
}

// Summary is the error at the head of a form with these fields, or nil.
func (v *view) Summary(fields ...string) *summary {
	if v.Error == nil {
		return nil
	}
	s := &summary{Text: v.ErrorText(), Focus: true}
	if slices.Contains(fields, v.Error.Field) {
		s.Field, s.Focus = v.Error.Field, false
	} else if v.mistyped() && slices.Contains(fields, "password") {
		s.Focus = false
	}
	if v.Status >= 500 {
		s.Ref = v.Error.Ref
	}
	return s
}

// input is what the part "field" draws.
type input struct {
	ID           string // and name
	Label        string
	Autocomplete string
	Value        string
	Hint         string
	Problem      string
	Focus        bool
	Optional     bool
	Min          int // the fewest characters of a new password

	sent     bool // Value is what was sent, even if that was nothing
	mistyped bool
}

// Input is the field of that name and id. What kind of input it is follows from
// autocomplete (HTML, section 4.10.18.7), which is what password managers go by
// too: "username" for email addresses, "current-password", "new-password", "name".
func (v *view) Input(name, label, autocomplete string) input {
	in := input{ID: name, Label: label, Autocomplete: autocomplete, Focus: v.focus() == name}
	if !in.Password() {
		in.Value, in.sent = v.Values[name], v.Values != nil
	}
	if autocomplete == "new-password" {
		in.Min = v.PasswordMin
	}
	if v.Error != nil && v.Error.Field == name {
		in.Problem = v.ErrorText()
	}
	in.mistyped = v.mistyped() && name == "password"
	return in
}

// Password reports whether what is typed is hidden, and never filled in again.
func (in input) Password() bool { return strings.HasSuffix(in.Autocomplete, "-password") }

// Username reports whether it is an email address, by which users log in.
//
// Such an input is of type text with the keyboard for addresses: inputs of type
// email refuse addresses with letters beyond ASCII before the @, and rewrite
// the domain of others to punycode, while the address is to be kept as typed.
func (in input) Username() bool { return in.Autocomplete == "username" }

// WithHint is the input with a line of help above it.
func (in input) WithHint(hint string) input { in.Hint = hint; return in }

// AsOptional is the input when it may be left empty.
func (in input) AsOptional() input { in.Optional = true; return in }

// Or is the input with this value, if the form was not sent yet.
func (in input) Or(value string) input {
	if !in.sent && !in.Password() {
		in.Value = value
	}
	return in
}

// DescribedBy are the ids of what a screen reader says after the label.
func (in input) DescribedBy() string {
	var ids []string
	if in.Problem != "" {
		ids = append(ids, in.ID+"-problem")
	}
	if in.mistyped {
		ids = append(ids, "problem")
	}
	if in.Hint != "" {
		ids = append(ids, in.ID+"-hint")
	}
	return strings.Join(ids, " ")
}

// Moment is a time in words.
func (v *view) Moment(t time.Time) moment { return v.ui.messages.moment(t, v.Now) }
