package importing

import (
	"strings"
	"time"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// has reports whether all of these are there.
func (f fields) has(names ...string) bool {
	for _, name := range names {
		if _, ok := f[name]; !ok {
			return false
		}
	}
	return true
}

// hasAny reports whether one of these is there.
func (f fields) hasAny(names ...string) bool {
	for _, name := range names {
		if f.has(name) {
			return true
		}
	}
	return false
}

// generic is for everything else: its names are ours, and can be mapped.
var generic = &Format{
	Name: "generic",
	id:   []string{"id", "uuid", "user_id"}, email: []string{"email", "mail", "email_address"}, name: []string{"name", "full_name", "display_name"},
	given: []string{"first_name", "given_name"}, family: []string{"last_name", "family_name"},
	password: []string{"password", "password_hash", "hash"}, salt: []string{"salt"}, roles: []string{"roles", "role"},
	created: []string{"created", "created_at"}, updated: []string{"updated", "updated_at"},
	verified: []string{"verified", "email_verified"}, disabled: []string{"disabled", "disabled_at"}, enabled: []string{"enabled"},
}

// mongoDB is the collection of users that tutorials for Next.js and Express write
// with Mongoose, as mongoexport or a cursor hands it over.
var mongoDB = &Format{
	Name: "mongodb",
	id:   []string{"_id"}, email: []string{"email"}, name: []string{"name", "fullName", "username"},
	password: []string{"password", "hashedPassword", "passwordHash"}, roles: []string{"roles", "role"},
	created: []string{"createdAt", "created_at"}, updated: []string{"updatedAt", "updated_at"},
	verified: []string{"emailVerified", "isVerified", "verified"}, disabled: []string{"disabled", "banned"}, enabled: []string{"active", "isActive"},
	marks:  func(f fields) bool { return f.has("_id") },
	before: ofObjectID,
}

// ofObjectID reads an ObjectId as a table has it, where it is a text, and takes the
// time of creation from it if nothing else says it.
func ofObjectID(rd *Reader, f fields) (fields, error) {
	id := text(opened(f["_id"]))
	if inner, ok := strings.CutPrefix(id, "ObjectId("); ok {
		id = strings.Trim(strings.TrimSuffix(inner, ")"), `"'`)
	}
	if id != "" {
		f["_id"] = word(id)
	}
	for _, name := range rd.Format.created {
		if !empty(f[name]) {
			return f, nil
		}
	}
	if v, err := parseHex32(id); err == nil && len(id) == 24 {
		f["createdAt"] = number(int64(v))
	}
	return f, nil
}

var betterAuth = &Format{
	Name: "better-auth",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"name"}, password: []string{"password"}, roles: []string{"role"},
	created: []string{"createdAt", "created_at"}, updated: []string{"updatedAt", "updated_at"},
	verified: []string{"emailVerified", "email_verified"}, disabled: []string{"banned"},
	marks: func(f fields) bool {
		if !f.hasAny("emailVerified", "email_verified") || !f.has("email") {
			return false
		}
		_, isTruth := truth(f["emailVerified"])
		_, isTruthToo := truth(f["email_verified"])
		return isTruth || isTruthToo
	},
	before: func(_ *Reader, f fields) (fields, error) {
		// A ban that has an end, and has ended, is none.
		if ends := moment(f["banExpires"]); !ends.IsZero() && !ends.After(time.Now()) {
			delete(f, "banned")
		}
		return f, f.joined("accounts", "account")
	},
}

// joined takes the password out of a list of accounts, where Better Auth keeps it,
// and leaves of the others what says which provider knows the user by which id.
func (f fields) joined(names ...string) error {
	v := opened(f.take(names...))
	if v == nil {
		return nil
	}
	var list []fields
	if json.Unmarshal(v, &list) != nil {
		return &Fault{"malformed", "The accounts are no list of objects."}
	}
	var kept []map[string]string
	for _, a := range list {
		if p := a["password"]; !empty(p) && empty(f["password"]) {
			f["password"] = p
			continue
		}
		provider, subject := text(a.take("providerId", "provider")), text(a.take("accountId", "providerAccountId"))
		if provider != "" && provider != "credential" {
			kept = append(kept, map[string]string{"provider": provider, "subject": subject})
		}
	}
	if kept == nil {
		return nil
	}
	b, err := json.Marshal(kept, json.Deterministic(true))
	f["accounts"] = b
	return err
}

var authJS = &Format{
	Name: "authjs",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"name"}, password: []string{"password", "hashedPassword", "passwordHash"},
	roles:   []string{"roles", "role"},
	created: []string{"createdAt", "created_at"}, updated: []string{"updatedAt", "updated_at"}, verified: []string{"emailVerified", "email_verified"},
	marks:  func(f fields) bool { return f.has("id", "email", "emailVerified") },
	before: func(_ *Reader, f fields) (fields, error) { return f, f.joined("accounts") },
}

var supabase = &Format{
	Name: "supabase",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"full_name"}, password: []string{"encrypted_password"},
	created: []string{"created_at"}, updated: []string{"updated_at"}, verified: []string{"email_confirmed_at", "confirmed_at"},
	banned: []string{"banned_until"}, deleted: []string{"deleted_at"},
	marks: func(f fields) bool {
		return f.has("encrypted_password") && f.hasAny("raw_user_meta_data", "raw_app_meta_data", "instance_id", "email_confirmed_at", "aud")
	},
	before: func(_ *Reader, f fields) (fields, error) {
		meta := f.within("raw_user_meta_data")
		for _, name := range []string{"full_name", "name"} {
			if v := meta[name]; !empty(v) {
				f["full_name"] = v
				break
			}
		}
		return f, nil
	},
}

var devise = &Format{
	Name: "devise",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"name", "full_name"}, given: []string{"first_name"}, family: []string{"last_name"},
	password: []string{"encrypted_password"}, roles: []string{"role", "roles"},
	created: []string{"created_at"}, updated: []string{"updated_at"}, verified: []string{"confirmed_at"}, deleted: []string{"deleted_at"},
	marks: func(f fields) bool { return f.has("encrypted_password") },
}

var auth0 = &Format{
	Name: "auth0",
	id:   []string{"user_id", "_id", "id", "Id"}, email: []string{"email", "Email"}, name: []string{"name", "Name"}, given: []string{"given_name", "Given Name"}, family: []string{"family_name", "Family Name"},
	password: []string{"passwordHash", "password_hash"}, roles: []string{"roles"},
	created: []string{"created_at", "Created At"}, updated: []string{"updated_at", "Updated At"}, passwordChanged: []string{"password_set_date", "last_password_reset"},
	verified: []string{"email_verified", "Email Verified"}, disabled: []string{"blocked"},
	unkept: []string{"_tmp_is_unique", "mfa_factors"},
	marks: func(f fields) bool {
		return f.has("user_id") || f.hasAny("passwordHash", "password_hash", "custom_password_hash") && f.hasAny("tenant", "connection") || f.has("Id", "Email Verified")
	},
	before: func(_ *Reader, f fields) (fields, error) {
		// What support hands out names the record of the database; the id that tokens
		// have had is that of the connection of this kind.
		if oid := opened(f["_id"]); oid.Kind() == '{' && !f.has("user_id") {
			delete(f, "_id")
			f["user_id"] = word("auth0|" + text(oid))
		}
		if name, email := text(f["name"]), text(f["email"]); name != "" && name == email {
			delete(f, "name") // Auth0 makes it up
		}
		if !f.has("roles") {
			if roles := f.within("app_metadata")["roles"]; !empty(roles) {
				f["roles"] = roles
			}
		}
		return f, auth0Hash(f)
	},
}

var pocketBase = &Format{
	Name: "pocketbase",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"name", "username"}, password: []string{"password", "passwordHash"},
	roles:   []string{"role", "roles"},
	created: []string{"created"}, updated: []string{"updated"}, verified: []string{"verified"},
	marks: func(f fields) bool { return f.hasAny("tokenKey", "emailVisibility", "collectionName") },
}

// django is what dumpdata writes, or the table as CSV. A dump has other records,
// too: what has no password is no user.
var django = &Format{
	Name: "django",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"name", "full_name"}, given: []string{"first_name"}, family: []string{"last_name"},
	password: []string{"password"}, roles: []string{"role", "roles"}, created: []string{"date_joined"}, enabled: []string{"is_active"},
	marks: func(f fields) bool { return f.has("model", "pk", "fields") || f.has("date_joined", "password") },
	before: func(_ *Reader, f fields) (fields, error) {
		if !f.has("model", "pk", "fields") {
			return f, nil
		}
		inner := f.within("fields")
		if !inner.has("password") {
			return nil, errOther
		}
		inner["id"] = f["pk"]
		return inner, nil
	},
}

// errOther marks a record of an export that is about something else.
var errOther = &Fault{"no_user", "The record is no user."}

var kratos = &Format{
	Name: "kratos",
	id:   []string{"id"}, email: []string{"email"}, name: []string{"name"}, given: []string{"first"}, family: []string{"last"},
	password: []string{"hashed_password"}, created: []string{"created_at"}, updated: []string{"updated_at"}, verified: []string{"verified"}, enabled: []string{"state"},
	marks: func(f fields) bool { return f.has("traits") },
	before: func(_ *Reader, f fields) (fields, error) {
		traits := f.within("traits")
		f["email"] = traits.take("email")
		if name := traits["name"]; name.Kind() == '{' {
			parts := traits.within("name")
			f["first"], f["last"] = parts["first"], parts["last"]
			delete(traits, "name")
		} else {
			f["name"] = traits.take("name")
		}
		if len(traits) == 0 {
			delete(f, "traits")
		} else {
			b, err := json.Marshal(traits, json.Deterministic(true))
			if err != nil {
				return nil, err
			}
			f["traits"] = b
		}
		f["hashed_password"] = f.within("credentials").within("password").within("config")["hashed_password"]
		delete(f, "credentials") // with all secrets in it
		var addresses []struct {
			Value    string `json:"value"`
			Verified bool   `json:"verified"`
		}
		if json.Unmarshal(opened(f["verifiable_addresses"]), &addresses) == nil {
			for _, a := range addresses {
				if strings.EqualFold(a.Value, text(f["email"])) && a.Verified {
					f["verified"] = jsontext.Value("true")
				}
			}
		}
		return f, nil
	},
}
