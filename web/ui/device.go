package ui

import (
	"strings"

	"github.com/mileusna/useragent"
)

// longestUserAgent bounds the work that a header can cause. Real ones are
// shorter; what names the browser stands within it in all of them.
const longestUserAgent = 512

// browsers are the names that are shown. A User-Agent is whatever a client
// says, and a list of sessions is no place for the sentence of a stranger
// ("Bank security check"), so a name that is not here is unknown.
var browsers = map[string]string{
	useragent.Chrome:           "Chrome",
	useragent.HeadlessChrome:   "Chrome",
	useragent.Firefox:          "Firefox",
	useragent.Safari:           "Safari",
	useragent.MobileSafari:     "Safari",
	useragent.Edge:             "Edge",
	useragent.Opera:            "Opera",
	useragent.OperaMini:        "Opera Mini",
	useragent.OperaTouch:       "Opera Touch",
	useragent.Vivaldi:          "Vivaldi",
	useragent.SamsungBrowser:   "Samsung Internet",
	useragent.InternetExplorer: "Internet Explorer",
	useragent.FacebookApp:      "Facebook app",
	useragent.InstagramApp:     "Instagram app",
	useragent.TiktokApp:        "TikTok app",
	"Huawei Browser":           "Huawei Browser",
	"Miui Browser":             "Mi Browser",
}

var systems = map[string]string{
	useragent.Windows:      "Windows",
	useragent.WindowsPhone: "Windows Phone",
	useragent.Android:      "Android",
	useragent.MacOS:        "macOS",
	useragent.IOS:          "iOS",
	useragent.Linux:        "Linux",
	useragent.ChromeOS:     "ChromeOS",
	useragent.BlackBerry:   "BlackBerry",
	useragent.Harmony:      "HarmonyOS",
}

// programs are clients that are no browsers, by the product (RFC 9110,
// section 10.1.5) with which their User-Agent begins.
var programs = map[string]string{
	"curl":              "curl",
	"wget":              "Wget",
	"httpie":            "HTTPie",
	"xh":                "xh",
	"go-http-client":    "Go program",
	"python-requests":   "Python program",
	"python-httpx":      "Python program",
	"python-urllib":     "Python program",
	"aiohttp":           "Python program",
	"node":              "Node.js program",
	"undici":            "Node.js program",
	"axios":             "Node.js program",
	"node-fetch":        "Node.js program",
	"java-http-client":  "Java program",
	"java":              "Java program",
	"apache-httpclient": "Java program",
	"okhttp":            "OkHttp client",
	"dart":              "Dart program",
	"postmanruntime":    "Postman",
	"insomnia":          "Insomnia",
	"bruno-runtime":     "Bruno",
}

// DeviceName is the browser and the system of a User-Agent header in words:
// "Firefox on Linux", "Safari on iPhone", "curl". It knows a fixed set of names;
// for others it is "Unknown browser", with the system if that is known. It is a
// help for people to recognise their own devices and proves nothing.
func DeviceName(userAgent string) string {
	userAgent = userAgent[:min(len(userAgent), longestUserAgent)]
	product, _, _ := strings.Cut(userAgent, "/")
	product, _, _ = strings.Cut(product, " ")
	if name, ok := programs[strings.ToLower(product)]; ok {
		return name
	}
	ua := useragent.Parse(userAgent)
	name, system := browsers[ua.Name], systems[ua.OS]
	if ua.Device == "iPhone" || ua.Device == "iPad" {
		system = ua.Device
	}
	for _, bsd := range []string{"FreeBSD", "OpenBSD", "NetBSD"} { // which the library does not find before a processor
		if system == "" && strings.Contains(userAgent, bsd) {
			system = bsd
		}
	}
	if name == "" {
		name = "Unknown browser"
	}
	if system == "" {
		return name
	}
	return name + " on " + system
}
