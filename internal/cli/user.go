package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type userGroup struct {
	Add         userAdd         `cmd:"" help:"Add a user. The password is asked for."`
	List        userList        `cmd:"" help:"List all users."`
	Show        userShow        `cmd:"" help:"Show a user."`
	Disable     userDisable     `cmd:"" help:"Keep a user from logging in and end all sessions."`
	Enable      userEnable      `cmd:"" help:"Let a user log in again."`
	Logout      userLogout      `cmd:"" help:"End every session of a user, or of all."`
	Delete      userDelete      `cmd:"" help:"Delete a user for good."`
	SetPassword userSetPassword `cmd:"" help:"Give a user another password and end all sessions. The password is asked for."`
	Grant       userGrant       `cmd:"" help:"Give a user a role."`
	Revoke      userRevoke      `cmd:"" help:"Take a role from a user."`
}

// userArg names the user that a command is about.
type userArg struct {
	User string `arg:"" help:"Email address or id of the user."`
}

// operate opens Gatehouse, does something with it as the operator, and closes it.
func (p *program) operate(do func(context.Context, *gatehouse.Gatehouse) error) (err error) {
	return p.open(server.OpenExisting, do)
}

func (p *program) open(open opening, do func(context.Context, *gatehouse.Gatehouse) error) error {
	return p.openInstance(open, func(ctx context.Context, i *server.Instance) error { return do(ctx, i.Gatehouse) })
}

// opening is [server.Open] or [server.OpenExisting].
type opening func(context.Context, *server.Settings, *slog.Logger) (*server.Instance, error)

// openInstance is open for those who need the store as well.
func (p *program) openInstance(open opening, do func(context.Context, *server.Instance) error) (err error) {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	instance, err := open(context.Background(), &loaded.Settings, p.warnings())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	return do(operator(), instance)
}

// warnings is a log of what an operator should know of while a command runs.
func (p *program) warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// operator says in the audit log who did it.
func operator() context.Context {
	return gatehouse.WithClient(context.Background(), gatehouse.Client{Actor: "operator"})
}

// withUser finds the user and does something with it.
func (p *program) withUser(who string, do func(context.Context, *gatehouse.Gatehouse, *gatehouse.User) error) error {
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		u, err := g.FindUser(ctx, who)
		if err != nil {
			return err
		}
		return do(ctx, g, u)
	})
}

type userAdd struct {
	Email         string   `arg:"" help:"Email address."`
	Name          string   `help:"Name." placeholder:"TEXT"`
	Role          []string `help:"Role; may be given more than once." placeholder:"ROLE" sep:"none"`
	PasswordStdin bool     `name:"password-stdin" help:"Read the password from standard input."`
}

func (c userAdd) Run(p *program) error {
	return p.open(server.Open, func(ctx context.Context, g *gatehouse.Gatehouse) error {
		// Before the password is asked for, for nobody likes to type it in vain.
		if _, err := gatehouse.ParseEmail(c.Email); err != nil {
			return err
		}
		password, err := p.password("Password for "+c.Email, c.PasswordStdin)
		if err != nil {
			return err
		}
		u, err := g.AddUser(ctx, gatehouse.NewUser{
			Registration: gatehouse.Registration{Name: c.Name, Email: c.Email, Password: password},
			Roles:        c.Role,
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(p.out, u.ID)
		return nil
	})
}

type userSetPassword struct {
	userArg
	PasswordStdin bool `name:"password-stdin" help:"Read the password from standard input."`
}

func (c userSetPassword) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		password, err := p.password("New password for "+u.Email, c.PasswordStdin)
		if err != nil {
			return err
		}
		if err := g.SetPassword(ctx, u.ID, password); err != nil {
			return err
		}
		p.say("The password is changed, and every session of the user has ended.")
		return nil
	})
}

type userList struct {
	JSON bool `name:"json" help:"Write JSON."`
}

func (c userList) Run(p *program) error {
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		list := []userView{}
		err := eachUser(ctx, g, func(u *gatehouse.User) error {
			list = append(list, view(u))
			return nil
		})
		if err != nil {
			return err
		}
		if c.JSON {
			return p.json(list)
		}
		return p.table("ID\tEMAIL\tNAME\tROLES\tSTATE\tCREATED", func(row func(...string)) {
			for _, u := range list {
				row(u.ID, u.Email, u.Name, strings.Join(u.Roles, ","), u.state(), stamp(u.CreatedAt))
			}
		})
	})
}

type userShow struct {
	userArg
	JSON bool `name:"json" help:"Write JSON."`
}

func (c userShow) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		sessions, err := g.Sessions(ctx, u.ID)
		if err != nil {
			return err
		}
		v := view(u)
		if c.JSON {
			return p.json(struct {
				userView
				Sessions int `json:"sessions"`
			}{v, len(sessions)})
		}
		return p.table("", func(row func(...string)) {
			row("id", v.ID)
			row("email", v.Email)
			row("name", v.Name)
			row("roles", strings.Join(v.Roles, ", "))
			row("state", v.state())
			row("sessions", fmt.Sprint(len(sessions)))
			row("created", stamp(v.CreatedAt))
			row("updated", stamp(v.UpdatedAt))
		})
	})
}

type userDisable struct{ userArg }

func (c userDisable) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		if _, err := g.DisableUser(ctx, u.ID); err != nil {
			return err
		}
		p.say("The user is disabled, and every session has ended.")
		return nil
	})
}

type userEnable struct{ userArg }

func (c userEnable) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		if _, err := g.EnableUser(ctx, u.ID); err != nil {
			return err
		}
		p.say("The user is enabled.")
		return nil
	})
}

type userLogout struct {
	User string `arg:"" optional:"" help:"Email address or id of the user."`
	All  bool   `help:"Every session of every user."`
}

func (c userLogout) Run(p *program) error {
	switch {
	case c.All == (c.User != ""):
		return usageError("name one user, or say --all")
	case c.All:
		return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
			n := 0
			err := eachUser(ctx, g, func(u *gatehouse.User) error {
				n++
				if err := g.TerminateSessions(ctx, u.ID); !errors.Is(err, gatehouse.NotFound) {
					return err // of who was deleted meanwhile, nothing is left
				}
				return nil
			})
			if err != nil {
				return err
			}
			p.say(fmt.Sprintf("Every session of %d users has ended.", n))
			return nil
		})
	}
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		if err := g.TerminateSessions(ctx, u.ID); err != nil {
			return err
		}
		p.say("Every session of the user has ended.")
		return nil
	})
}

// eachUser hands all users to do, one after the other.
func eachUser(ctx context.Context, g *gatehouse.Gatehouse, do func(*gatehouse.User) error) error {
	for after := ""; ; {
		page, err := g.Users(ctx, after, 500)
		if err != nil {
			return err
		}
		for _, u := range page {
			if err := do(u); err != nil {
				return err
			}
			after = u.ID
		}
		if len(page) < 500 {
			return nil
		}
	}
}

type userDelete struct {
	userArg
	Yes bool `help:"Do not ask."`
}

func (c userDelete) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		if !c.Yes {
			if err := p.confirm("Delete " + u.Email + " for good?"); err != nil {
				return err
			}
		}
		if err := g.DeleteUser(ctx, u.ID); err != nil {
			return err
		}
		p.say("The user is deleted.")
		return nil
	})
}

type roleArg struct {
	Role string `arg:"" help:"Role."`
}

type userGrant struct {
	userArg
	roleArg
}

func (c userGrant) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		u, err := g.GrantRole(ctx, u.ID, c.Role)
		if err != nil {
			return err
		}
		p.say("The roles of the user: " + strings.Join(u.Roles, ", "))
		return nil
	})
}

type userRevoke struct {
	userArg
	roleArg
}

func (c userRevoke) Run(p *program) error {
	return p.withUser(c.User, func(ctx context.Context, g *gatehouse.Gatehouse, u *gatehouse.User) error {
		u, err := g.RevokeRole(ctx, u.ID, c.Role)
		if err != nil {
			return err
		}
		left := "none"
		if len(u.Roles) > 0 {
			left = strings.Join(u.Roles, ", ")
		}
		p.say("The roles of the user: " + left)
		return nil
	})
}

// userView is what operators see of a user: no credential.
type userView struct {
	ID         string    `json:"id"`
	Email      string    `json:"email"`
	Name       string    `json:"name"`
	Roles      []string  `json:"roles"`
	Disabled   bool      `json:"disabled"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

func view(u *gatehouse.User) userView {
	return userView{
		ID: u.ID, Email: u.Email, Name: u.Name, Roles: append([]string{}, u.Roles...),
		Disabled: !u.Enabled(), DisabledAt: u.DisabledAt, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

func (u userView) state() string {
	if u.Disabled {
		return "disabled"
	}
	return "enabled"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (p *program) json(v any) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows in columns. What comes from users cannot break a line.
func (p *program) table(head string, rows func(row func(...string))) error {
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	if head != "" {
		fmt.Fprintln(t, head)
	}
	rows(func(cells ...string) {
		for i, c := range cells {
			if c == "" {
				c = "-"
			}
			cells[i] = server.Printable(c)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	})
	return t.Flush()
}

// say tells a person what was done; programs go by the exit status.
func (p *program) say(text string) { fmt.Fprintln(p.err, server.Printable(text)) }

// confirm asks a person. Without one there is nobody to say yes.
func (p *program) confirm(question string) error {
	if !terminal(p.in) {
		return usageError("nobody is there to ask; use --yes")
	}
	fmt.Fprintf(p.err, "%s [y/N] ", server.Printable(question))
	answer, err := bufio.NewReader(io.LimitReader(p.in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
