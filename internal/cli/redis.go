package cli

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/server"
)

type redisGroup struct {
	Leave redisLeave `cmd:"" help:"Let the database be used without its Redis, or with another one. Everybody has to log in again."`
}

type redisLeave struct {
	Yes bool `help:"Do not ask."`
}

func (c redisLeave) Run(p *program) error {
	loaded, err := p.load()
	if err != nil {
		return err
	}
	ctx, database := context.Background(), server.DatabaseOf(&loaded.Settings)
	if err := database.Require(ctx); err != nil {
		return err
	}
	if !c.Yes {
		if err := p.confirm("The sessions in Redis are given up, and no instance may be running. Leave it?"); err != nil {
			return err
		}
	}
	if err := database.LeaveRedis(ctx); err != nil {
		return err
	}
	p.say("The database can be used without Redis, or with another one, from now on.")
	return nil
}
