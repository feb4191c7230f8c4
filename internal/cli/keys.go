package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type keysGroup struct {
	List   keysList   `cmd:"" help:"List the keys that sign and verify access tokens."`
	Rotate keysRotate `cmd:"" help:"Sign with the next key. Tokens of the current one stay good until they expire."`
	Reset  keysReset  `cmd:"" help:"The master secret is lost or known to somebody: end all sessions and begin with another one."`
}

type keysList struct {
	JSON bool `name:"json" help:"Write JSON."`
}

func (c keysList) Run(p *program) error {
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		keys, err := g.Keys(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			list := []keyView{}
			for _, k := range keys {
				list = append(list, keyView(k))
			}
			return p.json(list)
		}
		if len(keys) == 0 {
			p.say("There are no keys: with HS256 a secret signs.")
			return nil
		}
		return p.table("ID\tALGORITHM\tSTATE\tCREATED\tSIGNS FROM\tRETIRED", func(row func(...string)) {
			for _, k := range keys {
				row(k.ID, string(k.Algorithm), string(k.State), stamp(k.CreatedAt), stamp(k.SignsFrom), stamp(k.RetiredAt))
			}
		})
	})
}

type keyView struct {
	ID        string              `json:"id"`
	Algorithm gatehouse.Algorithm `json:"algorithm"`
	State     gatehouse.KeyState  `json:"state"`
	CreatedAt time.Time           `json:"created_at"`
	SignsFrom time.Time           `json:"signs_from,omitzero"`
	RetiredAt time.Time           `json:"retired_at,omitzero"`
}

type keysRotate struct{}

func (keysRotate) Run(p *program) error {
	return p.operate(func(ctx context.Context, g *gatehouse.Gatehouse) error {
		k, err := g.RotateKeys(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(p.out, k.ID)
		return nil
	})
}

type keysReset struct {
	Force bool `help:"Do it: everybody has to log in again, and links that were mailed are void."`
}

func (c keysReset) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	if !c.Force {
		return usageError("everybody would have to log in again, and links that were mailed would be void; if the master secret is really lost, say --force, with the service stopped")
	}
	if err := server.ReplaceLostSecret(context.Background(), &loaded.Settings, p.warnings()); err != nil {
		return err
	}
	p.say("Everybody has to log in again. The audit log up to now can be verified with the lost secret alone.")
	return nil
}
