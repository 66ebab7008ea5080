//! LoginRadius's error codes, from its pages "SSO API Codes" and "Customer Identity API Codes".
//!
//! Some codes are on both pages with different texts or meanings. The first page is about the classic API; samples of
//! the site API have the texts of the second.

use crate::operation::Api;

/// An error code with its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) number: u16,
    pub(crate) classic: Text,
    pub(crate) site: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) status: u16,
    pub(crate) message: &'static str,
    pub(crate) description: &'static str,
}

impl Code {
    const fn same(number: u16, text: Text) -> Self {
        Self { number, classic: text, site: text }
    }

    pub(crate) fn text(self, api: Api) -> Text {
        match api {
            Api::Classic => self.classic,
            Api::Site => self.site,
        }
    }
}

pub(crate) const API_KEY_UNAUTHORIZED: Code = Code {
    number: 901,
    classic: Text {
        status: 403,
        message: "The API key is unauthorized.",
        description: "The provided LoginRadius API key is invalid or is not authorized, please use a valid or authorized LoginRadius API key or check the API key for your LoginRadius account.",
    },
    site: Text {
        status: 403,
        message: "The API key is unauthorized",
        description: "The provided LoginRadius API key is invalid or is not authorized, please use a valid or authorized LoginRadius API key or check the API key for your LoginRadius account.",
    },
};
pub(crate) const ACCESS_TOKEN_INVALID: Code = Code::same(
    905,
    Text {
        status: 403,
        message: "Access token is invalid",
        description: "The LoginRadius access token is invalid, please use the correct or valid access token in order to process this request.",
    },
);
pub(crate) const ACCESS_TOKEN_EXPIRED: Code = Code::same(
    906,
    Text {
        status: 403,
        message: "Access token has expired",
        description: "The LoginRadius access token has expired, please request a new token from LoginRadius API.",
    },
);
pub(crate) const PARAMETER_MALFORMED: Code = Code {
    number: 908,
    classic: Text {
        status: 400,
        message: "A parameter is not formatted correctly in the request, please check all the parameters in the API call.",
        description: "A parameter is not formatted correctly",
    },
    site: Text {
        status: 403,
        message: "A parameter is not formatted correctly",
        description: "A parameter is not formatted correctly in the request, please check all the parameters in the API call.",
    },
};
pub(crate) const API_KEY_INVALID: Code = Code {
    number: 920,
    classic: Text {
        status: 400,
        message: "API key is invalid.",
        description: "The provided LoginRadius API key is invalid, please use a valid API key of your LoginRadius account.",
    },
    site: Text {
        status: 400,
        message: "API key is invalid",
        description: "The provided LoginRadius API key is invalid, please use a valid API key of your LoginRadius account.",
    },
};
pub(crate) const API_KEY_MISSING: Code = Code {
    number: 922,
    classic: Text {
        status: 400,
        message: "API key is missing.",
        description: "The request is missing the API key, please use the valid API key parameter in order to process this request.",
    },
    site: Text {
        status: 400,
        message: "API key is missing",
        description: "The request is missing the API key, please use the valid API key parameter in order to process this request.",
    },
};
pub(crate) const API_SECRET_MISSING: Code = Code {
    number: 923,
    classic: Text {
        status: 400,
        message: "API secret is missing.",
        description: "The request is missing the API secret, please use the valid API secret parameter in order to process this request.",
    },
    site: Text {
        status: 400,
        message: "API secret is missing",
        description: "The request is missing the API secret, please use the valid API key parameter in order to process this request.",
    },
};
pub(crate) const BODY_INVALID: Code = Code {
    number: 965,
    classic: Text {
        status: 400,
        message: "The post body is invalid.",
        description: "Please use a valid post body and make sure that it is in a valid JSON format.",
    },
    site: Text {
        status: 400,
        message: "The post body is invalid",
        description: "Please use a valid post body and make sure that it is in a valid JSON format.",
    },
};
pub(crate) const CREDENTIALS_INVALID: Code = Code::same(
    966,
    Text {
        status: 401,
        message: "Invalid user ID and/or password",
        description: "Please use a valid user ID and password combination.",
    },
);
pub(crate) const EMAIL_NOT_VERIFIED: Code = Code::same(
    970,
    Text {
        status: 403,
        message: "Email is not verified",
        description: "This email has not yet been verified, please click the link in your email to confirm your email address.",
    },
);
pub(crate) const BLOCKED: Code = Code::same(
    991,
    Text {
        status: 403,
        message: "Your account is blocked",
        description: "Your account has been blocked by the system admin, please contact the admin for more information.",
    },
);
pub(crate) const EMAIL_MALFORMED: Code = Code {
    number: 1038,
    classic: Text {
        status: 400,
        message: "The email is not valid, please check your email again.",
        description: "The provided email ID is invalid or not well-formatted, a valid email ID is required in order to process this request.",
    },
    site: Text {
        status: 400,
        message: "Valid email ID is required",
        description: "The provided email ID is invalid or not well-formatted, a valid email ID is required in order to process this request.",
    },
};
pub(crate) const ACCESS_TOKEN_MISSING: Code = Code {
    number: 1060,
    classic: Text {
        status: 400,
        message: "Access token is missing.",
        description: "This request is missing the access token, please use the valid access token parameter in order to process this request.",
    },
    site: Text {
        status: 400,
        message: "Access token is missing",
        description: "This request is missing the access token, please use the valid access token parameter in order to process this request.",
    },
};
pub(crate) const CONTENT_TYPE_UNSUPPORTED: Code = Code::same(
    1083,
    Text {
        status: 400,
        message: "This content type header is not supported",
        description: "Please use a valid content type header, either application/JSON or application/x-www-form-urlencoded.",
    },
);
pub(crate) const PASSWORD_MISSING: Code = Code::same(
    1089,
    Text {
        status: 400,
        message: "Password is missing",
        description: "The password is missing, please use the valid password parameter in order to process this request.",
    },
);
pub(crate) const IDENTIFIER_MISSING: Code = Code::same(
    1141,
    Text {
        status: 400,
        message: "Email address or username is required",
        description: "Email address or username is required, please use a valid email address or username in order to process this request.",
    },
);
pub(crate) const SECOND_FACTOR_REQUIRED: Code = Code::same(
    1176,
    Text {
        status: 403,
        message: "Two factor authentication is enabled",
        description: "Two factor authentication is enabled, please use two factor authentication api for login.",
    },
);
pub(crate) const JWT_CONFIGURATION: Code = Code {
    number: 1180,
    classic: Text {
        status: 401,
        message: "JWT configuration not valid.",
        description: "The JWT configuration is not valid, Please check the JWT configuration for your LoginRadius account.",
    },
    site: Text {
        status: 401,
        message: "JWT configuration not found.",
        description: "The JWT configuration not found or the resource does not exist.",
    },
};
pub(crate) const JWT_APP_MISSING: Code = Code::same(
    1196,
    Text {
        status: 400,
        message: "The Jwt app name is a required parameter",
        description: "The Jwt app name is a required parameter, please use a valid app name in order to process this request.",
    },
);
pub(crate) const PASSWORD_WRONG: Code = Code::same(
    1198,
    Text {
        status: 400,
        message: "The password is not valid.",
        description: "Password is not valid, please check your password again.",
    },
);
pub(crate) const LOCKED: Code = Code::same(
    1198,
    Text {
        status: 403,
        message: "Your account has been locked",
        description: "Your account has been locked, please try again after sometime.",
    },
);
pub(crate) const EMAIL_OR_PHONE_MISSING: Code = Code::same(
    2001,
    Text {
        status: 400,
        message: "The email/phone is a required parameter.",
        description: "This request could not be processed because the email/phone must be specified in the request body.",
    },
);
pub(crate) const CODE_EXPIRED: Code = Code::same(
    2005,
    Text { status: 401, message: "The code is expired.", description: "The code is expired, please try again." },
);
pub(crate) const REDIRECT_URI_INVALID: Code = Code::same(
    2006,
    Text {
        status: 400,
        message: "The redirect_uri is not valid.",
        description: "The redirect_uri is not the same as passed into get code.",
    },
);
pub(crate) const CODE_INVALID: Code =
    Code::same(2007, Text { status: 401, message: "The code is not valid.", description: "The code is not valid." });
pub(crate) const INVALID_REQUEST: Code =
    Code::same(2008, Text { status: 400, message: "invalid_request", description: "invalid_request" });
pub(crate) const INVALID_CLIENT: Code =
    Code::same(2009, Text { status: 401, message: "invalid_client", description: "invalid_client" });
pub(crate) const INVALID_GRANT: Code =
    Code::same(2010, Text { status: 400, message: "invalid_grant", description: "invalid_grant" });
pub(crate) const UNAUTHORIZED_CLIENT: Code =
    Code::same(2011, Text { status: 403, message: "unauthorized_client", description: "unauthorized_client" });
pub(crate) const UNSUPPORTED_GRANT_TYPE: Code =
    Code::same(2012, Text { status: 400, message: "unsupported_grant_type", description: "unsupported_grant_type" });
pub(crate) const INVALID_SCOPE: Code =
    Code::same(2013, Text { status: 400, message: "invalid_scope", description: "invalid_scope" });
pub(crate) const REDIRECT_URI_MISMATCH: Code = Code::same(
    2014,
    Text {
        status: 401,
        message: "redirect_uri_mismatch",
        description: "Parameter redirect_uri does not match as provided in the authorization",
    },
);

#[cfg(test)]
const ALL: &[Code] = &[
    API_KEY_UNAUTHORIZED,
    ACCESS_TOKEN_INVALID,
    ACCESS_TOKEN_EXPIRED,
    PARAMETER_MALFORMED,
    API_KEY_INVALID,
    API_KEY_MISSING,
    API_SECRET_MISSING,
    BODY_INVALID,
    CREDENTIALS_INVALID,
    EMAIL_NOT_VERIFIED,
    BLOCKED,
    EMAIL_MALFORMED,
    ACCESS_TOKEN_MISSING,
    CONTENT_TYPE_UNSUPPORTED,
    PASSWORD_MISSING,
    IDENTIFIER_MISSING,
    SECOND_FACTOR_REQUIRED,
    JWT_CONFIGURATION,
    JWT_APP_MISSING,
    PASSWORD_WRONG,
    LOCKED,
    EMAIL_OR_PHONE_MISSING,
    CODE_EXPIRED,
    REDIRECT_URI_INVALID,
    CODE_INVALID,
    INVALID_REQUEST,
    INVALID_CLIENT,
    INVALID_GRANT,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_GRANT_TYPE,
    INVALID_SCOPE,
    REDIRECT_URI_MISMATCH,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a line of CSV. A quote in a quoted field is doubled.
    fn fields(line: &str) -> Vec<String> {
        let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
        for character in line.chars() {
            match character {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                other => field.push(other),
            }
        }
        fields.push(field);
        fields
    }

    fn is_listed(table: &str, number: u16, text: Text) -> bool {
        table.lines().map(fields).any(|row| {
            row[0] == number.to_string()
                && row[1] == text.status.to_string()
                && row[2] == text.message
                && row[3] == text.description
        })
    }

    #[test]
    fn every_text_is_on_one_of_the_pages() {
        for code in ALL {
            for text in [code.classic, code.site] {
                assert!(
                    is_listed(loginradius_vectors::SSO_ERROR_CODES, code.number, text)
                        || is_listed(loginradius_vectors::API_ERROR_CODES, code.number, text)
                        // From LoginRadius's reference page "Get JWT Token by Login Credentials".
                        || text.message == "JWT configuration not found.",
                    "{code:?}"
                );
            }
        }
    }
}
