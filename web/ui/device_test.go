package ui_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/web/ui"
)

var devices = map[string]string{
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                                                       "Firefox on Linux",
	"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                                               "Firefox on Linux",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                                             "Firefox on Windows",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                                         "Firefox on macOS",
	"Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                                                         "Firefox on Android",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15":                                    "Firefox on iPhone",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":                                                                        "Chrome on Linux",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":                                                              "Chrome on Windows",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36":                                                              "Chrome on Android",
	"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36":                                                               "Chrome on ChromeOS",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.53 Mobile/15E148 Safari/604.1":                               "Chrome on iPhone",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36":                                                                "Chrome on Linux",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                                                        "Safari on macOS",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":                                      "Safari on iPhone",
	"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1":                                               "Safari on iPad",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0":                                                "Edge on Windows",
	"Mozilla/5.0 (Linux; Android 10; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36 EdgA/138.0.0.0":                                         "Edge on Android",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 OPR/119.0.0.0":                                                "Opera on Windows",
	"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":                           "Samsung Internet on Android",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Vivaldi/7.5.3735.54":                                                    "Vivaldi on Linux",
	"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)":                                                                                                             "Internet Explorer on Windows",
	"Mozilla/5.0 (X11; FreeBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                                                      "Firefox on FreeBSD",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/500.0.0.0;FBBV/1;FBDV/iPhone16,1;FBMD/iPhone]": "Facebook app on iPhone",

	"curl/8.14.1":             "curl",
	"Wget/1.25.0":             "Wget",
	"HTTPie/3.2.4":            "HTTPie",
	"Go-http-client/2.0":      "Go program",
	"python-requests/2.32.4":  "Python program",
	"node":                    "Node.js program",
	"PostmanRuntime/7.44.1":   "Postman",
	"okhttp/5.0.0":            "OkHttp client",
	"Java/21.0.7":             "Java program",
	"Java-http-client/21.0.7": "Java program",

	"":                                      "Unknown browser",
	"-":                                     "Unknown browser",
	"Bank-security-check/1.0":               "Unknown browser",
	"Call 0900 123456 (X11; Linux x86_64)":  "Unknown browser on Linux",
	"Mozilla/5.0 <script>alert(1)</script>": "Unknown browser",
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Unknown browser",
	"\x00\xff\xfe": "Unknown browser",
}

func TestDeviceName(t *testing.T) {
	for userAgent, want := range devices {
		if got := ui.DeviceName(userAgent); got != want {
			t.Errorf("%s\n got %q\nwant %q", userAgent, got, want)
		}
	}
}

// However long a header is, only its beginning costs anything.
func TestDeviceNameIsBounded(t *testing.T) {
	long := "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" + strings.Repeat(" Edg/1.0 (;", 100_000)
	if got := ui.DeviceName(long); got != "Firefox on Linux" && got != "Edge on Linux" {
		t.Errorf("got %q", got)
	}
	if n := testing.AllocsPerRun(1, func() { ui.DeviceName(long) }); n > 500 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDeviceName(f *testing.F) {
	for userAgent := range devices {
		f.Add(userAgent)
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		got := ui.DeviceName(userAgent)
		if got == "" || len(got) > 40 || !utf8.ValidString(got) || strings.ContainsAny(got, "<>&\"'\x00\n;/()") {
			t.Errorf("%q becomes %q", userAgent, got)
		}
	})
}
