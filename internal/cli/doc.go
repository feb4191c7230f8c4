// Package cli is the command line of gatehouse: what people type, what they
// read, and with which status it ends. What is asked for goes to standard
// output, everything else to standard error.
//
//	  0  done
//	  1  a fault: what was asked for could not be done
//	  2  the command line, a value or the settings cannot be accepted
//	  3  the user or the database does not exist
//	130  interrupted while it asked for something
package cli
