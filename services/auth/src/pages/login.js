
"use strict";
(function () {
    var form = document.getElementById("login");
    var message = document.getElementById("message");
    var button = form.querySelector("button");
    // what the client wants for its session; never who logs in or with what
    var wishes = ["device_id", "initial_device_display_name", "refresh_token"];

    function say(text) {
        message.textContent = text;
        message.hidden = !text;
    }

    function answerOf(response) {
        return response.json().catch(function () { return {}; }).then(function (body) {
            return { ok: response.ok, body: body };
        });
    }

    function done(body) {
        form.hidden = true;
        document.getElementById("done").hidden = false;
        if (window.matrixLogin && window.matrixLogin.onLogin) {
            window.matrixLogin.onLogin(body);
        }
    }

    form.addEventListener("submit", function (event) {
        event.preventDefault();
        say("");
        button.disabled = true;
        var query = new URLSearchParams(window.location.search);
        var name = form.elements.user.value.trim();
        var email = name.indexOf("@") > 0;
        var request = {
            type: "m.login.password",
            identifier: email
                ? { type: "m.id.thirdparty", medium: "email", address: name }
                : { type: "m.id.user", user: name },
            password: form.elements.password.value
        };
        wishes.forEach(function (wish) {
            if (query.has(wish)) {
                request[wish] = wish === "refresh_token" ? query.get(wish) === "true" : query.get(wish);
            }
        });
        fetch("/_matrix/client/v3/login", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(request)
        }).then(answerOf).then(function (answer) {
            button.disabled = false;
            if (answer.ok) {
                done(answer.body);
            } else {
                say(answer.body.error || "The server did not answer. Please try again.");
            }
        }).catch(function () {
            button.disabled = false;
            say("The server cannot be reached. Please try again.");
        });
    });
})();
